from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bundles import make_bundle, make_forest
from runs import GENRES, labelled
from trailergenre.base.config import RowsConfig
from trailergenre.base.errors import BundleError, ConfigError, ForeignFileError
from trailergenre.base.progress import OnStep
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import LabelledLink, Part, genre_matrix
from trailergenre.metrics.multilabel import average_by_movie, mean_ap
from trailergenre.models.bundle import read_bundle
from trailergenre.models.scorer import Scorer
from trailergenre.models.train_bundles import _clear_target, finalize_model
from trailergenre.models.trainers import Recipe
from trailergenre.models.training_set import TrainingSet

SCORER = Scorer(make_forest(), "pooled", RowsConfig())


def movies_of_two_links(n: int) -> tuple[tuple[LabelledLink, ...], tuple[Part, ...]]:
    """Movies of two links each, the genre by turns; a third of them in each part."""
    links, parts = [], []
    for number in range(n):
        for place in ("a", "b"):
            genres = [GENRES[number % 4]]
            links.append(labelled(f"{number}{place}", genres, f"tt-{number:03}"))
            parts.append(list(Part)[number % 3])
    order = sorted(range(len(links)), key=lambda place: links[place].link_id)
    return tuple(links[k] for k in order), tuple(parts[k] for k in order)


def training_set(n: int = 240) -> TrainingSet:
    links, parts = movies_of_two_links(n)
    return TrainingSet(
        links=links,
        parts=parts,
        truth=genre_matrix(links, GENRES),
        genres=GENRES,
        not_modelled={},
        shuffled=False,
        data_sha256="d" * 64,
        links_without_features=0,
        links_without_modelled_genre=0,
        links_without_part=0,
    )


class Overconfident:
    """Scores that know something and are far too sure; a movie's two links differ much."""

    def __init__(self, training: TrainingSet) -> None:
        rng = np.random.default_rng(7)
        odds = 2.0 * training.truth - 1.5 + 2.0 * rng.normal(size=training.truth.shape)
        scores = 1 / (1 + np.exp(-3 * odds))
        self.of = dict(zip((link.link_id for link in training.links), scores, strict=True))

    def fit(self, training: TrainingSet, recipe: Recipe, on_step: OnStep) -> Scorer:
        raise NotImplementedError

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        return np.stack([self.of[link_id] for link_id in link_ids])


def test_figures_are_those_of_calibrated_links_merged_by_movie() -> None:
    training = training_set()
    place = Overconfident(training)
    fitted = finalize_model(place, training, SCORER, seed=7)
    assert fitted.calibration.method != "none"
    links = [training.links[row] for row in training.rows_of(Part.TEST)]
    calibrated = fitted.calibration.apply(place.score([link.link_id for link in links], SCORER))
    movie_ids = [link.movie_id for link in links]
    _, truth, merged = average_by_movie(movie_ids, training.truth_of(Part.TEST), calibrated)
    measures = fitted.test.measures
    assert fitted.test.movies == len(truth) == 80
    assert measures["model"]["mean_ap"] == pytest.approx(mean_ap(truth, merged))
    brier = float(((merged - truth) ** 2).mean())
    assert measures["model"]["brier"] == pytest.approx(brier)
    assert brier < (measures["uncalibrated"]["brier"] or 0)


def test_raw_probabilities_have_no_f1() -> None:
    training = training_set()
    measures = finalize_model(Overconfident(training), training, SCORER, seed=7).test.measures
    assert "macro_f1" in measures["model"]
    assert not {"macro_f1", "micro_f1"} & set(measures["uncalibrated"])


@pytest.mark.parametrize(("movies", "source"), [(19, "default"), (20, "validation")])
def test_few_validation_movies_choose_neither_thresholds_nor_calibration(
    movies: int, source: str
) -> None:
    training = training_set(3 * movies)
    fitted = finalize_model(Overconfident(training), training, SCORER, seed=7)
    assert fitted.thresholds_from == source
    is_chosen = source == "validation"
    assert (set(fitted.thresholds) != {0.5}) is is_chosen
    assert (fitted.calibration.method != "none") is is_chosen


def test_folds_to_be_replaced_end_before_the_first_is_fitted(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("fold-0", "fold-1"):
        make_bundle(Store(f"{store}/{name}"))
    _clear_target(store, {"fold-0", "fold-1"})
    for name in ("fold-0", "fold-1"):
        with pytest.raises(BundleError):
            read_bundle(Store(f"{store}/{name}"))
    # A training that was killed now may be repeated.
    _clear_target(store, {"fold-0", "fold-1"})


@pytest.mark.parametrize("names", [{""}, {"fold-0", "fold-1"}])
def test_files_of_others_are_not_replaced(tmp_path: Path, names: set[str]) -> None:
    store = Store(str(tmp_path))
    file = f"{max(names)}/manifest.json".lstrip("/")
    store.write_bytes(file, b'{"name": "an extension"}')
    with pytest.raises(ForeignFileError, match=r"manifest\.json was not written by"):
        _clear_target(store, names)
    assert store.exists(file)


def test_a_single_bundle_stays_until_it_is_replaced(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_bundle(store)
    _clear_target(store, {""})
    assert store.exists("manifest.json")
    with pytest.raises(ConfigError, match="would not replace"):
        _clear_target(store, {"fold-0"})
    assert store.exists("manifest.json")
