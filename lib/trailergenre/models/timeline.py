"""A link's timeline: the genres' probabilities along the video, by the same model.

Each window of frames is scored as if it were a whole trailer. That is not how the model scored the
whole: windows are shorter than what it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import LinkFrames
from trailergenre.models.pooling import select_span
from trailergenre.models.scorer import Scorer

WINDOW_S = 16.0
"""Seconds of a window: several shots of a trailer, and some forty windows in two minutes."""

_MIN_WINDOWS = 4
"""Windows that fit side by side into any video; a short one has shorter windows."""

_STEPS = 4
"""Windows that begin within the length of one."""

_MIN_FRAMES = 2
"""Frames of a window, if the video has as many: one frame has no standard deviation."""

_MAX_INFLUENTIAL = 3
"""Influential frames per genre."""

_MAX_OMISSIONS = 32
"""Frames of a window that are left out in turn; of more, evenly spaced ones."""

_DIGITS = 4
"""Of a probability; pages show three."""


@dataclass(frozen=True, slots=True)
class InfluentialFrame:
    """The most influential frame for a genre, in one of its most probable windows.

    It is the frame without which the genre's probability of the window is lowest; of equal ones,
    the nearest to the window's middle. `drop` is the decrease of the window's uncalibrated
    probability without the frame (calibration may tie what the model tells apart): at most 0 if no
    frame matters; None if the window has no other frame.
    """

    frame_index: int  # among the link's frames
    frame_time_s: float  # from the first video frame
    probability: float  # the genre's, of the window
    drop: float | None


@dataclass(frozen=True, slots=True)
class GenreLine:
    """One genre along a video: its probability in each window, and its influential frames."""

    genre: str
    probabilities: list[float]
    frames: list[InfluentialFrame]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Genres along a video."""

    length_s: float  # as far as there are frames
    window_s: float
    starts_s: list[float]  # time of each window's first frame
    lines: list[GenreLine]


def make_timeline(
    scorer: Scorer, link: LinkFrames, *, frames_per_s: float, genres: Mapping[str, int]
) -> Timeline:
    """Score a link's windows, all in one call, and find the most influential frames.

    `genres` maps a genre to show to the model's column. Frames outside the scorer's span are in no
    window.
    """
    seen = select_span(link, scorer.rows.span)
    size, starts = place_windows(len(seen.features), frames_per_s)
    windows = [_cut(seen, np.arange(start, start + size)) for start in starts]
    # The span selects from a whole video; of a window, every frame counts.
    rows = scorer.rows.model_copy(update={"span": "whole"})
    plain = replace(scorer, rows=rows, calibration=None)
    raw = plain.predict_proba(windows)
    shown = raw if scorer.calibration is None else scorer.calibration.apply(raw)
    first_index = int(np.searchsorted(link.frame_time_s, seen.frame_time_s[0]))
    lines = []
    for genre, column in genres.items():
        frames = []
        for window in _pick_windows(raw[:, column], starts, size):
            place, drop = _most_influential(plain, windows[window], column, raw[window, column])
            frames.append(
                InfluentialFrame(
                    frame_index=first_index + starts[window] + place,
                    frame_time_s=float(windows[window].frame_time_s[place]),
                    probability=round(float(shown[window, column]), _DIGITS),
                    drop=drop,
                )
            )
        lines.append(GenreLine(genre, shown[:, column].round(_DIGITS).tolist(), frames))
    return Timeline(
        length_s=len(link.features) / frames_per_s,
        window_s=size / frames_per_s,
        starts_s=[float(window.frame_time_s[0]) for window in windows],
        lines=lines,
    )


def place_windows(n_frames: int, frames_per_s: float) -> tuple[int, list[int]]:
    """Choose the frames per window, and the first frame of each.

    A window has 16 seconds, but at most a quarter of the frames and at least two. Windows start a
    quarter of a window apart, and the last one ends with the last frame.

    >>> place_windows(9, 1.0), place_windows(1, 1.0)
    ((2, [0, 1, 2, 3, 4, 5, 6, 7]), (1, [0]))
    """
    wanted = min(round(WINDOW_S * frames_per_s), n_frames // _MIN_WINDOWS)
    size = min(n_frames, max(_MIN_FRAMES, wanted))
    last = n_frames - size
    starts = list(range(0, last + 1, max(1, size // _STEPS)))
    return size, starts if starts[-1] == last else [*starts, last]


def _cut(link: LinkFrames, places: NDArray[np.int64]) -> LinkFrames:
    return LinkFrames(link.link_id, link.features[places], link.frame_time_s[places])


def _pick_windows(
    probabilities: NDArray[np.float64], starts: Sequence[int], size: int
) -> list[int]:
    """Pick the most probable windows that share no frame, in order of time.

    None is below the median: a short video soon runs out of strong windows that share no frame.
    """
    picked: list[int] = []
    median = np.median(probabilities)
    for window in np.argsort(-probabilities, kind="stable").tolist():
        is_apart = all(abs(starts[window] - starts[other]) >= size for other in picked)
        if len(picked) < _MAX_INFLUENTIAL and is_apart and probabilities[window] >= median:
            picked.append(window)
    return sorted(picked)


def _most_influential(
    scorer: Scorer, window: LinkFrames, column: int, probability: float
) -> tuple[int, float | None]:
    """Find the most influential frame of a window, and its drop; see `InfluentialFrame`."""
    n_frames = len(window.features)
    if n_frames == 1:
        return 0, None
    n_tried = min(n_frames, _MAX_OMISSIONS)
    places = ((np.arange(n_tried) + 0.5) * n_frames / n_tried).astype(np.int64)
    # argmax takes the first of equal drops: the nearest to the middle.
    places = places[np.argsort(np.abs(places - (n_frames - 1) / 2), kind="stable")]
    rest = [_cut(window, np.delete(np.arange(n_frames), place)) for place in places]
    # Rounded, so that no frame wins by a rounding error.
    drops = (probability - scorer.predict_proba(rest)[:, column]).round(_DIGITS) + 0.0
    best = int(drops.argmax())
    return int(places[best]), float(drops[best])
