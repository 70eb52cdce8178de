"""A bundle's probabilities for its test movies to figures beside what chance alone gives.

Average precision on few movies lies above the share of true ones for any ranking, and a model that
tells the videos apart but knows no genre may rank a whole kind of video right by luck. So a model
*beats the prior* only if its mAP is above the prior's, above the 95th percentile of random scores,
and above the 95th percentile of its own scores with the genres mixed at random.

Knows nothing of Spark; the pooled rows come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from trailergenre.baselines import by_movie, majority_figures, prior_figures
from trailergenre.bundle import Bundle
from trailergenre.errors import BundleError, ConfigError
from trailergenre.metrics import Figures, mean_ap, measure
from trailergenre.records import ProbabilityArray, TruthArray
from trailergenre.splits import (
    LabelledLink,
    Part,
    check_no_leak,
    genre_matrix,
    labelled_links,
)

N_DRAWS = 200
"""Random score sets whose 95th percentile a model must pass."""

_SEED = 7
"""Of the draws: the same test movies give the same bar."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What mAP a kind of guessing reaches on the test movies.

    Attributes:
        mean_ap: mean over the draws.
        mean_ap_p95: their 95th percentile.
        draws: how many.
    """

    mean_ap: float
    mean_ap_p95: float
    draws: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A model's figures and what its own mixed scores reach.

    Attributes:
        figures: on the test movies.
        mixed: its scores with the genres mixed at random: what telling videos apart, without
            knowing genres, reaches by luck.
        beats_prior: above the prior, and above the 95th percentile of `mixed` and of random.
    """

    figures: Figures
    mixed: Chance
    beats_prior: bool


def find_test_links(bundle: Bundle, labels: pa.Table) -> list[LabelledLink]:
    """Find the bundle's test links as the run labels them now.

    Raises:
        ConfigError: the run has none of them.
        LeakError: a test movie or link stands in the training part, by the bundle's split or by
            the labels as they are now.
    """
    part_of = dict(
        zip(bundle.split["link_id"].to_pylist(), bundle.split["part"].to_pylist(), strict=True)
    )
    split = [
        (LabelledLink(row["link_id"], row["movie_id"], frozenset()), row["part"])
        for row in bundle.split.to_pylist()
    ]
    labelled = [(link, part_of.get(link.link_id)) for link in labelled_links(labels)]
    known = [(link, part) for link, part in split + labelled if part is not None]
    check_no_leak(
        (link for link, part in known if part != Part.TEST),
        (link for link, part in known if part == Part.TEST),
    )
    modelled = set(bundle.manifest.genres)
    test = [link for link, part in labelled if part == Part.TEST and link.genres & modelled]
    if not test:
        raise ConfigError(
            "The run's labels hold none of the bundle's test links. "
            "Evaluate a bundle on the run that it was trained on."
        )
    return test


def check_control(bundle: Bundle, control: Bundle) -> None:
    """Refuse a control that is none, or one with another test part.

    Raises:
        BundleError: says which.
    """
    if not control.manifest.training.shuffled_labels:
        raise BundleError(
            "The control bundle was trained on true labels. "
            "Train it with jobs/train_model.py --shuffle-labels."
        )
    same_genres = control.manifest.genres == bundle.manifest.genres
    if not same_genres or not _test_rows(control).equals(_test_rows(bundle)):
        raise BundleError(
            "The control bundle has other genres or another test part than the bundle. "
            "Train both on the same run with the same [dataset] settings."
        )


def _test_rows(bundle: Bundle) -> pa.Table:
    rows = bundle.split.sort_by("link_id")
    return rows.filter(pa.array([part == Part.TEST for part in rows["part"].to_pylist()]))


def merge_movies(
    links: Sequence[LabelledLink], values: ProbabilityArray, bundle: Bundle
) -> tuple[TruthArray, ProbabilityArray]:
    """Merge the links of a movie; see `by_movie`."""
    truth = genre_matrix(links, bundle.manifest.genres)
    _, merged, probabilities = by_movie([link.movie_id for link in links], truth, values)
    return merged, probabilities


def judge(
    truth: TruthArray, probabilities: ProbabilityArray, bundle: Bundle, *, bar: float
) -> Judgement:
    """Measure one model; `bar` is the mAP of the best guessing that does not look at videos."""
    figures = measure(
        truth,
        probabilities,
        genres=bundle.manifest.genres,
        thresholds=np.array(bundle.manifest.thresholds),
    )
    mixed = mixed_chance(truth, probabilities)
    return Judgement(figures, mixed, figures.mean_ap > max(bar, mixed.mean_ap_p95))


def random_chance(truth: TruthArray) -> Chance:
    """What random scores reach."""
    rng = np.random.default_rng(_SEED)
    return _chance([mean_ap(truth, rng.random(truth.shape)) for _ in range(N_DRAWS)])


def mixed_chance(truth: TruthArray, probabilities: ProbabilityArray) -> Chance:
    """What a model's scores reach when each genre gets a random mixture of all genres' scores.

    Movies that look alike to the model keep like scores; which genre they point to is chance. On
    clips of four clear kinds, 5 % of the models trained on shuffled labels pass the 95th
    percentile of this, while 25 % pass that of random scores.
    """
    rng = np.random.default_rng(_SEED)
    spread = probabilities.std(axis=0)
    columns = (probabilities - probabilities.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    n_genres = truth.shape[1]
    return _chance(
        [mean_ap(truth, columns @ rng.normal(size=(n_genres, n_genres))) for _ in range(N_DRAWS)]
    )


def _chance(draws: list[float]) -> Chance:
    return Chance(float(np.mean(draws)), float(np.percentile(draws, 95)), len(draws))


def compare(
    truth: TruthArray,
    probabilities: ProbabilityArray,
    bundle: Bundle,
    *,
    control: tuple[ProbabilityArray, Bundle] | None,
) -> dict[str, object]:
    """Put a model, the baselines and the shuffled-label control side by side.

    Args:
        truth: shape (n_movies, n_genres).
        probabilities: the model's, the same shape.
        bundle: the model.
        control: probabilities of the control and its bundle, where there is one.

    Returns:
        What JSON and the report show: `models` (figures by name), `random`, `mixed`, `beats_prior`.
    """
    genres, shares = bundle.manifest.genres, bundle.manifest.training.genre_shares
    prior, guesses = prior_figures(truth, genres, shares), random_chance(truth)
    bar = max(prior.mean_ap, guesses.mean_ap_p95)
    judged = {"model": judge(truth, probabilities, bundle, bar=bar)}
    if control is not None:
        judged["control"] = judge(truth, *control, bar=bar)
    figures = {"prior": prior, "majority": majority_figures(truth, genres, shares)}
    figures |= {name: judgement.figures for name, judgement in judged.items()}
    return {
        "models": {name: asdict(found) for name, found in figures.items()},
        "random": asdict(guesses),
        "mixed": {name: asdict(judgement.mixed) for name, judgement in judged.items()},
        "beats_prior": {name: judgement.beats_prior for name, judgement in judged.items()},
    }


def describe_bundle(bundle: Bundle, address: str) -> dict[str, object]:
    """What a report says of a bundle."""
    manifest = bundle.manifest
    return {
        "address": address,
        "sha256": bundle.sha256,
        "created_at": manifest.created_at.isoformat(timespec="seconds"),
        "model": manifest.model,
        "rows": manifest.rows,
        "trainer": manifest.trainer,
        "weights": manifest.backbone.weights,
        "frames_per_s": manifest.sampling.frames_per_s,
        "movies": manifest.training.movies,
        "not_modelled": manifest.not_modelled,
        "shuffled_labels": manifest.training.shuffled_labels,
        "seed": manifest.training.dataset.seed,
        "warnings": bundle.warnings,
    }
