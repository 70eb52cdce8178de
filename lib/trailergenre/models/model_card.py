"""The model card: a bundle's manifest as a page of Markdown, each metric beside the baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trailergenre.base.errors import one_line
from trailergenre.metrics.format import MEASURES, format_figure
from trailergenre.models.manifest import Manifest

MODELS = {"forest": "A random forest", "logistic": "A logistic regression", "temporal": "A network"}
ROWS = {
    "pooled": "one row a trailer (statistics over its frames)",
    "frames": "the frames of a trailer",
}

LEAK_MEAN_AP = 0.7
"""No honest model has reached this mAP with frames of about 3,000 training movies."""

_MANY_MOVIES = 1000
"""With fewer training movies a high mAP is not suspicious: generated clips may be that clear."""


def render_card(manifest: Manifest) -> str:
    """Render the model card as Markdown."""
    sections = (
        _introduction,
        _figures,
        _genres,
        _calibration,
        _data,
        _parameters,
        _limits,
        _versions,
    )
    return "\n\n".join(section(manifest) for section in sections) + "\n"


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
    return notes


def _introduction(manifest: Manifest) -> str:
    lines = [
        "# Model card",
        f"{MODELS[manifest.model]} that predicts which of {len(manifest.genres)} genres a movie "
        "has, from the frames of its trailer. A movie may have several, so the probabilities do "
        f"not sum to 1. Input: {ROWS[manifest.rows]}. Trained with {manifest.trainer} on "
        f"{manifest.created_at:%Y-%m-%d}.",
        *(f"> **{note}**" for note in find_warnings(manifest)),
    ]
    return "\n\n".join(lines)


def _figures(manifest: Manifest) -> str:
    test = manifest.test
    columns = [("model", "model"), ("prior", "label prior"), ("majority", "top 3 always")]
    known = [(key, heading) for key, heading in columns if key in test.measures]
    rows = [
        [name, *(format_figure(test.measures[model].get(key)) for model, _ in known), meaning]
        for key, name, meaning in MEASURES
    ]
    table = _table(["measure", *(heading for _, heading in known), "meaning"], rows)
    oracle = format_figure(test.measures.get("model", {}).get("oracle_precision_at_3"))
    return (
        f"## Metrics\n\nOn {test.movies} test movies:\n\n{table}\n\n"
        f"A perfect ranking would reach P@3 {oracle}. These are the movies of one split; for the "
        "spread over splits, run `jobs/evaluate_model.py` on all folds."
    )


def _genres(manifest: Manifest) -> str:
    shares, thresholds = manifest.training.genre_shares, manifest.thresholds
    rows = []
    for genre, share, threshold in zip(manifest.genres, shares, thresholds, strict=True):
        facts = manifest.test.genres.get(genre)
        movies, ap = (str(facts.movies), facts.ap) if facts else ("–", None)
        rows.append([genre, movies, *map(format_figure, (ap, share, threshold))])
    headings = ["genre", "test movies", "AP", "share in training", "threshold"]
    text = f"## Genres\n\n{_table(headings, rows)}"
    if manifest.not_modelled:
        rare = ", ".join(f"{_plain(genre)} ({n})" for genre, n in manifest.not_modelled.items())
        text += f"\n\nNot modelled, too few movies: {rare}. The model cannot predict these genres."
    return text


def _calibration(manifest: Manifest) -> str:
    calibration = manifest.calibration
    tried = ", ".join(f"{name} {format_figure(b)}" for name, b in calibration.brier.items())
    scores = f" Cross-validated Brier score on the validation part: {tried}." if tried else ""
    lines = [f"## Calibration\n\nMethod: {calibration.method}.{scores}"]
    raw, calibrated = map(manifest.test.measures.get, ("uncalibrated", "model"))
    if raw and calibrated and calibration.method != "none":
        rows = [
            [name, format_figure(raw.get(key)), format_figure(calibrated.get(key))]
            for key, name, _ in MEASURES
            if key in {"brier", "ece", "mean_ap", "micro_ap"}
        ]
        lines.append(_table(["test movies", "before", "after"], rows))
    kept = [
        _plain(genre)
        for genre, curve in zip(manifest.genres, calibration.curves, strict=True)
        if curve.method != calibration.method
    ]
    if kept:
        lines.append(f"Not calibrated: {', '.join(kept)}.")
    lines.append("A genre is predicted if its probability reaches the genre's threshold.")
    return "\n\n".join(lines)


def _data(manifest: Manifest) -> str:
    training = manifest.training
    sizes = ", ".join(
        f"{n} movies ({training.links.get(part, 0)} links) {part}"
        for part, n in training.movies.items()
    )
    split = ", ".join(f"{key} {value}" for key, value in training.dataset)
    backbone = manifest.backbone
    return (
        f"## Data\n\n- Parts, by movie: {sizes}.\n- Split: {split}.\n"
        f"- Excluded: {training.links_without_features} links without features, "
        f"{training.links_without_modelled_genre} of genres that are not modelled, "
        f"{training.links_without_part} without a part.\n"
        f"- SHA-256 of the training data: `{training.data_sha256}`.\n"
        f"- Features: {backbone.width} per frame, {manifest.sampling.frames_per_s:g} frames per "
        f"second, network weights {_plain(backbone.weights)}, {_plain(backbone.precision)}, "
        f"`{_plain(backbone.backbone_id)}`."
    )


def _parameters(manifest: Manifest) -> str:
    used = ", ".join(f"{key} {value}" for key, value in manifest.parameters)
    rows = ", ".join(
        f"{key} {'/'.join(value) if isinstance(value, tuple) else value}"
        for key, value in manifest.rows_config
    )
    text = f"## Parameters\n\n- Model: {used}.\n- Rows: {rows}."
    if manifest.search is None:
        return text
    trials = []
    for trial in manifest.search.trials:
        parameters = ", ".join(f"{key} {value:g}" for key, value in trial.parameters.items())
        trials.append([parameters, format_figure(trial.mean_ap), format_figure(trial.spread)])
    return (
        f"{text}\n\nFound by {len(trials)} random trials (seed {manifest.search.seed}) on "
        f"{manifest.search.folds} inner folds of the training part, the best first:\n\n"
        + _table(["trial", "mAP", "spread over folds"], trials)
    )


def _limits(manifest: Manifest) -> str:
    reached = manifest.test.measures.get("model", {}).get("mean_ap") or 0.0
    is_reached = suggests_leak(reached, training_movies=manifest.training.movies.get("train", 0))
    leak = f"mAP above {format_figure(LEAK_MEAN_AP)} from frames of about 3,000 training movies"
    return (
        "## Limits\n\n- It uses images only: no sound, no text, no title.\n"
        "- Its labels are genres of the movie, which the trailer may not show.\n"
        "- It accepts only features of the same network, sampling and preprocessing.\n"
        f"- {leak} {'is reached here' if is_reached else 'is suspicious'}: look for a leak first."
    )


def _versions(manifest: Manifest) -> str:
    versions = ", ".join(f"{_plain(name)} {_plain(v)}" for name, v in manifest.versions.items())
    return f"## Versions\n\n{versions}; format {manifest.format}."


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *(map(_plain, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    r"""Escape text as Markdown and HTML.

    >>> _plain("a|b\n<i>")
    'a\\|b &lt;i&gt;'
    """
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("|", "\\|").replace("`", "'")
