from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np

from bundles import make_forest
from runs import SETTINGS, make_movies, make_run
from trailergenre.base.config import ForestConfig, RowsConfig
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store
from trailergenre.models.calibration import Calibration, Platt
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.models.pooling import iter_links
from trailergenre.models.scorer import Scorer, ScorerGroup, score_links
from trailergenre.runs import outcomes_table


def frames(n: int) -> LinkFrames:
    features = np.ones((n, SETTINGS.width), np.float32)
    return LinkFrames(f"link-{n}", features, np.arange(n, dtype=np.float64))


PLAIN = Scorer(make_forest(), "pooled", RowsConfig())
CALIBRATION = Calibration(method="platt", curves=(Platt(slope=2.0, offset=0.5),) * 4, brier={})


def test_calibration_bends_what_the_model_gives() -> None:
    links = [frames(2), frames(3)]
    bent = replace(PLAIN, calibration=CALIBRATION).predict_proba(links)
    np.testing.assert_allclose(PLAIN.predict_proba(links), [[0.1, 0.2, 0.3, 0.4]] * 2)
    np.testing.assert_allclose(bent, CALIBRATION.apply(PLAIN.predict_proba(links)))
    assert (bent[0] != PLAIN.predict_proba(links)[0]).all()


def test_no_link_has_no_score() -> None:
    assert replace(PLAIN, calibration=CALIBRATION).predict_proba([]).shape == (0, 4)


def test_models_side_by_side_score_as_they_do_alone_and_travel_to_workers() -> None:
    links = [frames(2), frames(3)]
    other = Scorer(make_forest((0.5, 0.6, 0.7, 0.8)), "pooled", RowsConfig())
    both = ScorerGroup((PLAIN, other))
    sent = pickle.loads(pickle.dumps(both))
    scores = np.split(sent.predict_proba(links), 2, axis=1)
    np.testing.assert_array_equal(scores[0], PLAIN.predict_proba(links))
    np.testing.assert_array_equal(scores[1], other.predict_proba(links))


def test_pooled_rows_are_scored_as_their_frames_are(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    movies = make_movies(5)
    outcomes = outcomes_table.read_outcomes(store, make_run(store, movies, links_per_file=2))
    X = np.array([movie.features.mean(axis=0) for movie in movies if movie.features is not None])
    y = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]], np.int8)
    mean = RowsConfig(statistics=("mean",))
    forest = fit_forest(X, y, ForestConfig(trees=5, min_rows_per_leaf=1))
    pooled = Scorer(forest, "pooled", mean, CALIBRATION)
    framewise = Scorer(forest, "frames", mean)
    for scorer in (pooled, ScorerGroup((pooled, pooled)), ScorerGroup((pooled, framewise))):
        links = [link for file in iter_links(store, outcomes) for link in file]
        expected = dict(zip([x.link_id for x in links], scorer.predict_proba(links), strict=True))
        found = score_links(store, outcomes, scorer)
        read = {i: row for ids, scores in found for i, row in zip(ids, scores, strict=True)}
        assert read.keys() == expected.keys()
        for link_id, row in read.items():
            np.testing.assert_array_equal(row, expected[link_id])


def test_models_of_other_rows_have_none_in_common() -> None:
    middle = replace(PLAIN, rows=RowsConfig(span="middle"))
    fewer = replace(PLAIN, rows=RowsConfig(frames_per_link=3))
    assert ScorerGroup((PLAIN, fewer)).pooled == RowsConfig()
    assert ScorerGroup((PLAIN, middle)).pooled is None
    assert ScorerGroup((PLAIN, replace(PLAIN, kind="frames"))).pooled is None
