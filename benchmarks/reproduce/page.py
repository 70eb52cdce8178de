"""The page of `make reproduce`: our table beside the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from reproduce.measures import MEASURES, Kind

if TYPE_CHECKING:
    from reproduce.__main__ import Figures

PAPER = {
    "ShuffleNet-2D (trailers_i_shufflenet)": ("71.69 ± .44", "66.47 ± .73", "70.51", "76.60"),
    "ResNet-50 (trailers_i_resnet)": ("70.92 ± 3.49", "66.16 ± 2.45", "70.23", "75.85"),
    "Swin-2D (trailers_i_swin)": ("72.96 ± 4.17", "67.68 ± 2.63", "71.70", "77.77"),
    "Swin-3D (trailers_ik_swin)": ("75.71 ± 2.43", "70.44 ± 2.10", "74.30", "80.19"),
}
"""Source: arXiv 2210.07983; transformer on one kind of features, by trapezoids."""

NAMES = {
    "prior": "label prior",
    "logistic": "logistic regression, pooled",
    "forest": "random forest, pooled",
    "temporal": "transformer, our defaults",
    "recipe": "transformer, the paper's recipe",
}

_HEADER = "| features | model | µAP | mAP | wAP | sAP |\n|---|---|---|---|---|---|"
_KINDS: dict[Kind, str] = {
    "trapezoid": "Area under precision and recall by trapezoids, as in the paper",
    "steps": "Average precision as scikit-learn defines it, a sum over steps, as elsewhere here",
}


def render_page(figures: Sequence[Figures], subset: int | None) -> str:
    """Write the page as Markdown."""
    return "\n".join(_lines(figures, subset)) + "\n"


def _lines(figures: Sequence[Figures], subset: int | None) -> Iterator[str]:
    drawn = f", {subset} movies drawn at random (not comparable with the paper)" if subset else ""
    yield "# Trailers12k: our models beside the paper's"
    yield ""
    yield (
        f"Three published splits{drawn}; percent, mean ± standard deviation over the splits. "
        f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by `make reproduce`."
    )
    yield (
        "\nBy trapezoids, one score for all movies counts as the mean of 1 and the genre's share: "
        "see the label prior. Compare models with the paper by the first table, and judge them by "
        "the second."
    )
    for kind, title in _KINDS.items():
        yield f"\n## {title}\n"
        yield _HEADER
        for found in figures:
            cells = [_spread(found.values[kind][measure]) for measure in MEASURES]
            yield f"| {found.network} | {NAMES[found.model]} | {' | '.join(cells)} |"
        if kind == "trapezoid":
            for network, values in PAPER.items():
                yield f"| {network} | **the paper's transformer** | {' | '.join(values)} |"
    yield "\n## Seconds of training and testing, three splits\n"
    yield "| features | model | s |\n|---|---|---|"
    for found in figures:
        yield f"| {found.network} | {NAMES[found.model]} | {found.seconds:.0f} |"


def _spread(values: Sequence[float]) -> str:
    percent = 100 * np.array(values)
    return f"{percent.mean():.2f} ± {percent.std(ddof=1):.2f}"
