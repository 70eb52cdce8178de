from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np

from bundles import make_forest
from runs import SETTINGS
from trailergenre.base.config import RowsConfig
from trailergenre.base.records import LinkFrames
from trailergenre.models.calibration import Calibration, Platt
from trailergenre.models.scorer import Scorer, ScorerGroup


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
    # Spark sends a bound method of it to the workers.
    predict = pickle.loads(pickle.dumps(both.predict_proba))
    scores = np.split(predict(links), 2, axis=1)
    np.testing.assert_array_equal(scores[0], PLAIN.predict_proba(links))
    np.testing.assert_array_equal(scores[1], other.predict_proba(links))
