"""Render benchmarks/out/quality.json as docs/quality.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

_HEAD = """\
# Model quality

This page shows how good the models are on published data, and what training costs.

Written by `make quality` and `make quality PART=costs`; do not edit. Each section gives the date,
commit and machine of its figures. The data come from published data sets. The 107 visual columns
that MMTF-14K provides per trailer replace Inception-V3's features, which need the ImageNet weights.
Average precision is scikit-learn's `average_precision_score`; ± is the standard deviation over
folds. Two models that were tried and not taken, gated attention and a tuned penalty, are in
[decision 0036](decisions/0036-heads-that-were-tried.md).
"""

_MEASURES = {
    "mean_ap": "mAP",
    "micro_ap": "µAP",
    "weighted_ap": "wAP",
    "sample_ap": "sAP",
    "precision_at_3": "P@3",
    "macro_auc": "AUC",
    "brier": "Brier",
    "ece": "ECE",
}

_REFERENCE = {
    "label prior": (0.130, 0.321, 0.240, 0.548, 0.356, 0.500),
    "one logistic regression per genre (C = .01)": (0.285, 0.422, 0.395, 0.608, 0.415, 0.704),
    "the same, balanced class weights": (0.277, 0.265, 0.394, 0.474, 0.307, 0.696),
    "one multi-output forest, 200 trees": (0.283, 0.430, 0.397, 0.607, 0.401, 0.691),
    "one forest per genre, 60 trees": (0.253, 0.414, 0.380, 0.597, 0.400, 0.670),
}
"""Measured with scikit-learn alone, before this project's trainers were written."""


def render_page(record: dict[str, Any]) -> str:
    """Render the page."""
    parts = record["parts"]
    sections = [_HEAD, "## Goals\n", _goals(record.get("goals", {}))]
    sections += [section(parts[name]) for name, section in _SECTIONS.items() if name in parts]
    return "\n".join(sections).rstrip() + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(headings), " | ".join("---" for _ in headings)]
    lines += [" | ".join(row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


def _stamp(part: dict[str, Any]) -> str:
    return f"{part['measured_at']}, commit {part['commit']}, {part['machine']}"


def _goals(goals: dict[str, Any]) -> str:
    return _table(
        ("goal", "measured", "value", "bound", "reached"),
        (
            (
                key,
                goal["what"],
                f"{goal['value']:.3g}",
                f"{goal['sign']} {goal['goal']:g}",
                "yes" if goal["holds"] else "**no**",
            )
            for key, goal in goals.items()
        ),
    )


def _labels(part: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {name}" for name, n in part["by_row_outcome"].items() if n)
    return (
        f"## Labels\n\n{_stamp(part)}. Data: {part['data']}.\n\n"
        f"{part['rows']} rows: {counts}; {part['movies']} movies. "
        f"{part['equal_share']:.2%} of the labels agree with the metadata. Given the matrix, the "
        f"job exits with {part['matrix_exit_code']}:\n\n> {part['matrix_refusal']}\n"
    )


def _scene(part: dict[str, Any]) -> str:
    rows = [
        (name, *(_figure(found[key]) for key in ("micro_auprc", "lrap", "hamming", "mean_ap")))
        for name, found in part["models"].items()
    ]
    rows.append(("published (Mulan, random forest)", ".852", ".874", ".087", "–"))
    return (
        f"## Mulan scene\n\n{_stamp(part)}. Data: {part['data']}, "
        f"{next(iter(part['models'].values()))['test rows']} test rows.\n\n"
        + _table(("model", "µ-AUPRC", "LRAP", "Hamming", "mAP"), rows)
    )


def _trailers(part: dict[str, Any]) -> str:
    text = _folds("1,807 real trailers", part)
    rows = [(name, *map(_figure, values)) for name, values in _REFERENCE.items()]
    return (
        f"{text}\nReference figures, measured on the same data with scikit-learn alone (on whole "
        "folds; ours hold out a tenth for calibration and thresholds):\n\n"
        + _table(("reference", *list(_MEASURES.values())[:6]), rows)
    )


def _imdb(part: dict[str, Any]) -> str:
    return _folds("The IMDB5000 movies among them", part)


def _folds(title: str, part: dict[str, Any]) -> str:
    rows = [
        (name, *(_with_spread(found[key]) for key in _MEASURES))
        for name, found in part["models"].items()
    ]
    return (
        f"## {title}\n\n{_stamp(part)}. Data: {part['data']}; {part['rows']} rows, "
        f"{part['movies']} movies with one of {len(part['genres'])} genres "
        f"({', '.join(part['genres'])}). Split: {part['split']}.\n\n"
        + _table(("model", *_MEASURES.values()), rows)
    )


def _with_spread(found: dict[str, float]) -> str:
    return f"{_figure(found['mean'])} ± {_figure(found['spread'])}"


def _curve(part: dict[str, Any]) -> str:
    by_trailers, by_movies = part["by_trailers"], part["by_movies_of_a_genre"]
    sizes = [
        (f"{found['trailers']:,}" if found["trailers"] else "none (label prior)", _point(found))
        for found in by_trailers
    ]
    movies = [(str(found["movies"]), _point(found)) for found in by_movies]
    return (
        f"## Learning curve\n\n{_stamp(part)}. Data: {part['data']}. Logistic regression, five "
        "folds, three random parts of each training part; ± is the standard deviation over folds "
        f"and parts. mAP over {len(part['genres'])} genres:\n\n"
        + _table(("training trailers", "mAP"), sizes)
        + f"\nAUC of each of the {len(by_movies[0]['genres'])} genres with the most movies "
        f"({', '.join(by_movies[0]['genres'])}), if the training part has only so many movies of "
        "that genre, at its usual share. ± includes the differences between genres. Chance is "
        ".500:\n\n" + _table(("movies of the genre", "AUC"), movies)
    )


def _point(found: dict[str, Any]) -> str:
    value = found["mean_ap"] if "mean_ap" in found else found["auc"]
    return _with_spread({"mean": value, "spread": found["spread"]})


def _exported(part: dict[str, Any]) -> str:
    rows = [(name, f"{difference:.1e}") for name, difference in part["largest"].items()]
    return (
        f"## Exported models against the trainers'\n\n{_stamp(part)}. Data: {part['data']}, "
        f"{part['rows']} rows.\n\n" + _table(("model", "largest difference"), rows)
    )


def _costs(title: str) -> Callable[[dict[str, Any]], str]:
    def section(part: dict[str, Any]) -> str:
        rows = [
            (
                found["trainer"],
                f"{found['rows']:,}",
                f"{found['columns']:,}",
                str(found["genres"]),
                f"{found['seconds']:.0f}",
                found["memory"],
            )
            for found in part["runs"]
        ]
        headings = ("trainer", "rows", "columns", "genres", "seconds", "peak memory")
        notes = "".join(f"\n{note}\n" for note in part["notes"])
        return f"## {title}\n\n{_stamp(part)}. Generated rows.\n\n{_table(headings, rows)}{notes}"

    return section


_SECTIONS = {
    "labels": _labels,
    "scene": _scene,
    "trailers": _trailers,
    "imdb": _imdb,
    "curve": _curve,
    "exported": _exported,
    "costs-sklearn": _costs("Training cost: pooled rows, scikit-learn"),
    "costs-mllib": _costs("Training cost: pooled rows, MLlib"),
    "costs-frames": _costs("Training cost: frame rows"),
    "costs-driver": _costs("Training cost: driver memory"),
    "costs-epoch": _costs("Training cost: temporal head"),
}
