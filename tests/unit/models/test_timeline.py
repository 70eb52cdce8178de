from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pytest

from trailergenre.base.config import RowsConfig
from trailergenre.base.records import LinkFrames
from trailergenre.models.calibration import Calibration, Platt
from trailergenre.models.scorer import Scorer
from trailergenre.models.temporal.head import TemporalHead
from trailergenre.models.timeline import Timeline, make_timeline, place_windows

MEAN = RowsConfig(statistics=("mean",))
GENRES = {"Drama": 0, "Horror": 1}


@dataclass
class Mean:
    """A model of two genres: their probabilities are the first two columns of a row."""

    n_genres: int = 2
    calls: list[int] = field(default_factory=list)

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        self.calls.append(len(rows))
        return rows[:, :2].astype(np.float64)


class Sequences(TemporalHead):
    """A head: the mean over the frames that it is given."""

    def predict_proba(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([frames.mean(axis=0) for frames in sequences]).astype(np.float64)


def scorer_of(model: Any = None, **more: Any) -> Scorer:
    return Scorer(model or Mean(), **{"kind": "pooled", "rows": MEAN, **more})


def link_of(features: np.ndarray, frames_per_s: float = 1.0) -> LinkFrames:
    times_s = np.arange(len(features)) / frames_per_s
    return LinkFrames("a" * 64, features.astype(np.float32), times_s)


def drama_at(n_frames: int, places: slice) -> np.ndarray:
    features = np.full((n_frames, 2), 0.25)
    features[places, 0] = 0.75
    return features


def timeline_of(features: np.ndarray, scorer: Scorer | None = None, rate: float = 1.0) -> Timeline:
    link = link_of(features, rate)
    return make_timeline(scorer or scorer_of(), link, frames_per_s=rate, genres=GENRES)


@pytest.mark.parametrize("rate", [0.2, 1.0, 24.0, 60.0])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 17, 63, 64, 65, 150, 1200])
def test_windows_hold_every_frame_and_none_that_is_not_there(n_frames: int, rate: float) -> None:
    size, starts = place_windows(n_frames, rate)
    held = {start + place for start in starts for place in range(size)}
    assert held == set(range(n_frames))
    assert starts == sorted(set(starts))
    assert size <= max(16 * rate, 2)
    assert size <= max(n_frames / 4, 2)


def test_a_trailer_has_windows_of_sixteen_seconds_four_seconds_apart() -> None:
    found = timeline_of(drama_at(150, slice(60, 80)))
    assert (found.length_s, found.window_s) == (150, 16)
    assert found.starts_s[:3] == [0, 4, 8]
    assert found.starts_s[-2:] == [132, 134]
    assert [len(line.probabilities) for line in found.lines] == [len(found.starts_s)] * 2


def test_a_genre_is_probable_where_its_frames_are() -> None:
    found = timeline_of(drama_at(150, slice(60, 80)))
    drama, horror = found.lines
    by_start = dict(zip(found.starts_s, drama.probabilities, strict=True))
    assert (by_start[40], by_start[60], by_start[64], by_start[80]) == (0.25, 0.75, 0.75, 0.25)
    assert set(horror.probabilities) == {0.25}


def test_a_window_is_scored_as_a_trailer_of_its_frames_would_be() -> None:
    rng = np.random.default_rng(3)
    features = rng.random((80, 2))
    curve = Platt(slope=2, offset=-1)
    for kind in ("pooled", "frames"):
        calibration = Calibration(method="platt", curves=(curve, curve), brier={})
        scorer = scorer_of(kind=kind, calibration=calibration)
        found = timeline_of(features, scorer)
        expected = scorer.predict_proba([link_of(features[8:24])])[0]
        at = found.starts_s.index(8)
        shown = [line.probabilities[at] for line in found.lines]
        np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_a_temporal_head_sees_the_frames_of_a_window_in_their_order() -> None:
    features = drama_at(80, slice(0, 20))
    found = timeline_of(features, scorer_of(Sequences(b"", 2, 2)))
    assert found.lines[0].probabilities[0] == 0.75
    assert found.lines[0].frames[0].frame_time_s < 20


def test_all_windows_are_scored_in_one_call() -> None:
    model = Mean()
    found = timeline_of(drama_at(150, slice(60, 80)), scorer_of(model))
    frames = sum(len(line.frames) for line in found.lines)
    assert model.calls == [len(found.starts_s), *[16] * frames]


def test_the_frame_that_spoke_most_is_the_one_that_its_window_misses_most() -> None:
    features = np.full((100, 2), 0.25)
    features[43, 0] = 0.9
    drama = timeline_of(features).lines[0]
    (best,) = [frame for frame in drama.frames if frame.frame_index == 43]
    with_it, without = (0.25 * 15 + 0.9) / 16, 0.25
    assert (best.frame_time_s, best.probability) == (43, round(with_it, 4))
    assert best.drop == round(with_it - without, 4)


def test_influential_frames_are_of_windows_that_share_no_frame_in_order_of_time() -> None:
    features = np.full((150, 2), 0.25)
    for place, value in ((20, 0.7), (60, 0.9), (110, 0.8), (140, 0.4)):
        features[place, 0] = value
    frames = timeline_of(features).lines[0].frames
    assert [frame.frame_index for frame in frames] == [20, 60, 110]


def test_no_influential_frame_is_of_a_window_below_the_median() -> None:
    """Twenty frames have windows of five: those that share none with the best one are the worst."""
    drama, horror = timeline_of(drama_at(20, slice(8, 12))).lines
    (frame,) = drama.frames
    assert frame.probability == max(drama.probabilities) > np.median(drama.probabilities)
    assert len(horror.frames) == 3  # all its windows are the median one


def test_of_equal_frames_the_one_in_the_middle_is_taken_and_is_not_missed() -> None:
    frames = timeline_of(np.full((150, 2), 0.25)).lines[0].frames
    assert [(frame.frame_index, frame.drop) for frame in frames] == [(7, 0), (23, 0), (39, 0)]


def test_a_video_of_one_frame_has_one_window_and_nothing_to_miss_it_by() -> None:
    found = timeline_of(np.array([[0.5, 0.125]]))
    assert (found.length_s, found.window_s, found.starts_s) == (1, 1, [0])
    (frame,) = found.lines[0].frames
    assert (frame.frame_index, frame.probability, frame.drop) == (0, 0.5, None)


def test_a_model_of_the_middle_third_has_a_timeline_of_it_and_counts_the_videos_frames() -> None:
    features = drama_at(120, slice(0, 30))  # outside of what the model sees
    features[50, 0] = 0.75
    rows = MEAN.model_copy(update={"span": "middle"})
    found = timeline_of(features, scorer_of(rows=rows))
    assert found.length_s == 120
    assert (found.starts_s[0], found.starts_s[-1] + found.window_s) == (40, 80)
    # The windows of a third have a quarter of its frames, and all of those count.
    at = found.starts_s.index(50)
    assert found.lines[0].probabilities[at] == pytest.approx((9 * 0.25 + 0.75) / 10, abs=1e-4)
    assert 50 in [frame.frame_index for frame in found.lines[0].frames]


def test_at_a_high_rate_a_window_is_asked_for_some_of_its_frames_only() -> None:
    model = Mean()
    rng = np.random.default_rng(3)
    found = timeline_of(rng.random((1200, 2)), scorer_of(model), rate=60.0)
    assert found.window_s == 5
    assert model.calls[1:] == [32] * sum(len(line.frames) for line in found.lines)
    for frame in found.lines[0].frames:
        assert frame.frame_time_s == frame.frame_index / 60


def test_calibration_that_ties_hides_no_frame() -> None:
    """A curve so steep that every probability is 1."""
    features = np.full((100, 2), 0.8)
    features[43, 0] = 0.95
    curve = Platt(slope=100, offset=0)
    calibration = Calibration(method="platt", curves=(curve, curve), brier={})
    drama = timeline_of(features, scorer_of(calibration=calibration)).lines[0]
    assert set(drama.probabilities) == {1}
    assert 43 in [frame.frame_index for frame in drama.frames]


def test_a_timeline_is_plain_values() -> None:
    found = asdict(timeline_of(drama_at(30, slice(0, 5))))
    assert json.loads(json.dumps(found)) == found
