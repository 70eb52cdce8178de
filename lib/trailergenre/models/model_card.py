"""The model card: a bundle's manifest as a page of Markdown, each metric beside the baselines."""

from __future__ import annotations

import html
import re
from importlib.resources import files

from pydantic import BaseModel

from trailergenre.base.errors import one_line
from trailergenre.base.versions import check_minimum_versions
from trailergenre.metrics.format import MEASURES, format_figure
from trailergenre.models.calibration import MIN_VALIDATION_MOVIES
from trailergenre.models.manifest import Manifest

MODELS = {"forest": "A random forest", "logistic": "A logistic regression", "temporal": "A network"}
ROWS = {
    "pooled": "one row a trailer (statistics over its frames)",
    "frames": "the frames of a trailer",
}

MIN_TEST_MOVIES = 20
"""With fewer test movies no verdict is given; decision 0026 has the measurements."""

LEAK_MEAN_AP = 0.7
"""No honest model has reached this mAP with frames of about 3,000 training movies."""

_MANY_MOVIES = 1000
"""With fewer training movies a high mAP is not suspicious: generated clips may be that clear."""


_ALIVE = re.compile(r"[\\\[\]*|@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What makes a link, an image, a table's column or bold text of plain text; also bare addresses."""


def suggests_leak(mean_ap: float, *, training_movies: int) -> bool:
    """Whether an mAP is too good to be true for so many movies.

    >>> suggests_leak(0.8, training_movies=3000), suggests_leak(0.8, training_movies=80)
    (True, False)
    """
    return mean_ap > LEAK_MEAN_AP and training_movies >= _MANY_MOVIES


def find_warnings(manifest: Manifest) -> list[str]:
    """What must be shown with every score of the model."""
    notes = []
    if manifest.backbone.weights.startswith("random"):
        notes.append(
            "The network's weights are random: the scores show that the pipeline works, "
            "not what a movie is."
        )
    if manifest.training.shuffled_labels:
        notes.append("This is a control model, trained on shuffled labels: it knows nothing.")
    if manifest.thresholds_from == "default":
        notes.append(
            f"There are fewer than {MIN_VALIDATION_MOVIES} validation movies: the probabilities "
            "are not calibrated, and every threshold is .5."
        )
    return notes


def render_card(manifest: Manifest) -> str:
    """Render the model card as Markdown; no value of the manifest can break the page."""
    # Scoring a link needs no card.
    from jinja2 import Environment, StrictUndefined

    check_minimum_versions("jinja2")
    # `_plain` escapes every value.
    environment = Environment(
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(figure=format_figure, pairs=_pairs)
    # Package data: the package may be inside a zip.
    template = files(__package__).joinpath("model_card.md").read_text(encoding="utf-8")
    headings = {"model": "model", "prior": "label prior", "majority": "top 3 always"}
    measures, calibration = manifest.test.measures, manifest.calibration
    figures = measures.get("model", {})
    return environment.from_string(template).render(
        dict(manifest),
        kind=MODELS[manifest.model],
        input=ROWS[manifest.rows],
        warnings=find_warnings(manifest),
        MEASURES=MEASURES,
        columns=[(key, heading) for key, heading in headings.items() if key in measures],
        figures=figures,
        raw=measures.get("uncalibrated"),
        not_calibrated=[
            genre
            for genre, curve in zip(manifest.genres, calibration.curves, strict=True)
            if curve.method != calibration.method
        ],
        MIN_TEST_MOVIES=MIN_TEST_MOVIES,
        LEAK_MEAN_AP=LEAK_MEAN_AP,
        has_leak=suggests_leak(
            figures.get("mean_ap") or 0.0,
            training_movies=manifest.training.movies.get("train", 0),
        ),
    )


def _pairs(settings: BaseModel) -> str:
    """List the fields of a section of the configuration."""
    return ", ".join(
        f"{name} {'/'.join(value) if isinstance(value, tuple) else value}"
        for name, value in settings
    )


def _plain(value: object) -> str:
    r"""Escape a value as Markdown and HTML, in one line.

    >>> print(_plain("a|b\n<i>"), _plain("![x](http://a.org)"))
    a\|b &lt;i&gt; !\[x\](http\://a.org)
    """
    # Inside code nothing is an escape, and a backtick would end it.
    text = html.escape(one_line(str(value)), quote=False).replace("`", "'")
    return _ALIVE.sub(r"\\\g<0>", text)
