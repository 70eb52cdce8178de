"""A bundle's manifest to its model card: one page of Markdown that says what the model is.

Every figure stands beside what guessing by the genres' shares gives. Knows nothing of files.
"""

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
"""mAP that frames of about 3,000 training movies have not honestly reached anywhere."""

_MANY_MOVIES = 1000
"""Training movies from which a very good figure is suspicious; made clips may be that clear."""


def render_card(manifest: Manifest) -> str:
    """Write the model card.

    Args:
        manifest: the bundle's.

    Returns:
        Markdown; ends with a line feed.
    """
    parts = [
        _introduction(manifest),
        _figures(manifest),
        _genres(manifest),
        _calibration(manifest),
        _data(manifest),
        _parameters(manifest),
        _limits(manifest),
        _versions(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def suggests_leak(mean_ap: float, *, training_movies: int) -> bool:
    """Whether an mAP is too good to be true of so many movies.

    >>> suggests_leak(0.8, training_movies=3000), suggests_leak(0.8, training_movies=80)
    (True, False)
    """
    return mean_ap > LEAK_MEAN_AP and training_movies >= _MANY_MOVIES


def find_warnings(manifest: Manifest) -> list[str]:
    """What every score of the model must say beside itself."""
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
        f"{MODELS[manifest.model]} that tells which of {len(manifest.genres)} genres a movie has, "
        f"by the frames of its trailer. A movie may have several: the probabilities do not sum "
        f"to 1. It sees {ROWS[manifest.rows]}; {manifest.trainer} trained it on "
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
    table = _table(["measure", *(heading for _, heading in known), "what it is"], rows)
    oracle = format_figure(test.measures.get("model", {}).get("oracle_precision_at_3"))
    return (
        f"## How good it is\n\nOn {test.movies} movies that it was not fitted to:\n\n{table}\n\n"
        f"A perfect ranking would reach P@3 {oracle}. Movies of one split: how much another one "
        "would change is shown by `jobs/evaluate_model.py` on all folds."
    )


def _genres(manifest: Manifest) -> str:
    shares = zip(manifest.genres, manifest.training.genre_shares, strict=True)
    share_of = dict(shares)
    threshold_of = dict(zip(manifest.genres, manifest.thresholds, strict=True))
    rows = []
    for genre in manifest.genres:
        facts = manifest.test.genres.get(genre)
        rows.append(
            [
                genre,
                str(facts.movies) if facts else "–",
                format_figure(facts.ap if facts else None),
                format_figure(share_of[genre]),
                format_figure(threshold_of[genre]),
            ]
        )
    headings = ["genre", "test movies", "AP", "share in training", "threshold"]
    text = f"## Genre by genre\n\n{_table(headings, rows)}"
    if manifest.not_modelled:
        rare = ", ".join(f"{_plain(genre)} ({n})" for genre, n in manifest.not_modelled.items())
        text += f"\n\nNot modelled, too few movies: {rare}. The model cannot give these genres."
    return text


def _calibration(manifest: Manifest) -> str:
    calibration = manifest.calibration
    tried = ", ".join(f"{name} {format_figure(b)}" for name, b in calibration.brier.items())
    lines = [
        f"## Calibration\n\nMethod: {calibration.method}."
        + (f" Brier score on validation movies held out: {tried}." if tried else "")
    ]
    raw, bent = (manifest.test.measures.get(name) for name in ("uncalibrated", "model"))
    if raw and bent and calibration.method != "none":
        rows = [
            [name, format_figure(raw.get(key)), format_figure(bent.get(key))]
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
        lines.append(f"Left as the model gives them: {', '.join(kept)}.")
    lines.append("A movie is given a genre where its probability reaches the genre's threshold.")
    return "\n\n".join(lines)


def _data(manifest: Manifest) -> str:
    training = manifest.training
    sizes = ", ".join(
        f"{n} movies ({training.links.get(part, 0)} links) {part}"
        for part, n in training.movies.items()
    )
    split = ", ".join(f"{key} {value}" for key, value in training.dataset)
    return "\n".join(
        [
            "## Data\n",
            f"- Parts, by movie: {sizes}.",
            f"- Split: {split}.",
            f"- Left out: {training.links_without_features} links without features, "
            f"{training.links_without_modelled_genre} of genres not modelled alone, "
            f"{training.links_without_part} without a part.",
            f"- SHA-256 of the training data: `{training.data_sha256}`.",
            f"- Features: {manifest.backbone.width} a frame, "
            f"{manifest.sampling.frames_per_s:g} frames a second, network weights "
            f"{_plain(manifest.backbone.weights)}, {_plain(manifest.backbone.precision)}, "
            f"`{_plain(manifest.backbone.backbone_id)}`.",
        ]
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
    trials = [
        [
            ", ".join(f"{key} {value:g}" for key, value in trial.parameters.items()),
            format_figure(trial.mean_ap),
            format_figure(trial.spread),
        ]
        for trial in manifest.search.trials
    ]
    return (
        f"{text}\n\nFound by {len(trials)} random trials (seed {manifest.search.seed}) on "
        f"{manifest.search.folds} inner folds of the training part, the best first:\n\n"
        + _table(["trial", "mAP", "spread over folds"], trials)
    )


def _limits(manifest: Manifest) -> str:
    reached = manifest.test.measures.get("model", {}).get("mean_ap") or 0.0
    is_reached = suggests_leak(reached, training_movies=manifest.training.movies.get("train", 0))
    leak = f"mAP above {format_figure(LEAK_MEAN_AP)} from frames of about 3,000 training movies"
    lines = [
        "It sees pictures alone: no sound, no words, no title.",
        "Its labels are genres of the movie, which a trailer need not show.",
        "It scores features of the same network, sampling and preprocessing; others are refused.",
        f"{leak} {'is reached here: look' if is_reached else 'would mean: look'} for a leak first.",
    ]
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _versions(manifest: Manifest) -> str:
    found = ", ".join(f"{_plain(name)} {_plain(v)}" for name, v in manifest.versions.items())
    return f"## Versions\n\n{found}; format {manifest.format}."


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(headings)
    lines = [headings, rule, *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    r"""Keep what users named from being read as Markdown or HTML.

    >>> _plain("a|b\n<i>")
    'a\\|b &lt;i&gt;'
    """
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("|", "\\|").replace("`", "'")
