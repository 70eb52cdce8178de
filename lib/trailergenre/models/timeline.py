"""A link's frames to its timeline: how probable genres are along the video, by the same model.

Each window of frames is scored as if it were a trailer of its own. That is not how the model came
to its score of the whole: windows are shorter than what it was trained on. Knows nothing of
pictures or pages.
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
"""Seconds of a window: several shots of a trailer, and some forty points over its two minutes."""

_PARTS = 4
"""Windows side by side that a video has at least; a short one has shorter windows."""

_STEPS = 4
"""Windows that begin within the length of one."""

_LEAST_FRAMES = 2
"""Of a window, where the video has as many: one frame has no spread, which a model may ask for."""

_MOMENTS = 3
"""Of a genre, at most."""

_LEFT_OUT = 32
"""Frames of a window that are tried at most: at the default rate all, at higher ones every nth."""

_DIGITS = 4
"""Of a probability; pages show three."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The frame that spoke most for a genre in one of the windows where it is most probable.

    It is the one without which the genre's probability of the window is lowest; of equal ones that
    nearest to the window's middle.

    Attributes:
        frame_index: of the link's frames.
        frame_time_s: seconds from the first video frame.
        probability: the genre's, of the window.
        drop: how much lower the genre's probability of the window is without the frame, as the
            model gives it: calibration is left out, it may tie what the model tells apart.
            0 or less where no frame is missed; None where the window has no other.
    """

    frame_index: int
    frame_time_s: float
    probability: float
    drop: float | None


@dataclass(frozen=True, slots=True)
class GenreLine:
    """One genre along a video.

    Attributes:
        genre: its name.
        probabilities: of each window, 0..1.
        moments: of the windows that are best for the genre, no worse than the median one, and
            share no frame; in order of time.
    """

    genre: str
    probabilities: list[float]
    moments: list[Moment]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Genres along a video.

    Attributes:
        length_s: seconds of the video, as far as frames show it.
        window_s: seconds of a window.
        starts_s: time of the first frame of each window, rising.
        lines: one a genre.
    """

    length_s: float
    window_s: float
    starts_s: list[float]
    lines: list[GenreLine]


def make_timeline(
    scorer: Scorer, link: LinkFrames, *, frames_per_s: float, genres: Mapping[str, int]
) -> Timeline:
    """Score a link's windows, all in one call, and find the frames that spoke most.

    Frames that the model does not see of a whole video (`rows.span`) are in no window.

    Args:
        scorer: the model.
        link: its frames.
        frames_per_s: of the sampling.
        genres: those wanted: name -> column of the model.
    """
    seen = select_span(link, scorer.rows.span)
    size, starts = place_windows(len(seen.features), frames_per_s)
    windows = [_cut(seen, np.arange(start, start + size)) for start in starts]
    # The span is a part of a whole video; of a window every frame counts.
    rows = scorer.rows.model_copy(update={"span": "whole"})
    plain = replace(scorer, rows=rows, calibration=None)
    raw = plain.predict_proba(windows)
    shown = raw if scorer.calibration is None else scorer.calibration.apply(raw)
    first_index = int(np.searchsorted(link.frame_time_s, seen.frame_time_s[0]))
    lines = []
    for genre, column in genres.items():
        moments = []
        for window in _pick_windows(raw[:, column], starts, size):
            place, drop = _find_loudest(plain, windows[window], column, raw[window, column])
            moments.append(
                Moment(
                    frame_index=first_index + starts[window] + place,
                    frame_time_s=float(windows[window].frame_time_s[place]),
                    probability=round(float(shown[window, column]), _DIGITS),
                    drop=drop,
                )
            )
        lines.append(GenreLine(genre, shown[:, column].round(_DIGITS).tolist(), moments))
    return Timeline(
        length_s=len(link.features) / frames_per_s,
        window_s=size / frames_per_s,
        starts_s=[float(window.frame_time_s[0]) for window in windows],
        lines=lines,
    )


def place_windows(n_frames: int, frames_per_s: float) -> tuple[int, list[int]]:
    """Choose how many frames a window has, and the first frame of each.

    16 seconds, but at most a quarter of the frames, and two at least; a quarter of a window from
    one to the next. The last ends with the last frame.

    Args:
        n_frames: of the video, 1 at least.
        frames_per_s: of the sampling.

    >>> place_windows(9, 1.0), place_windows(1, 1.0)
    ((2, [0, 1, 2, 3, 4, 5, 6, 7]), (1, [0]))
    """
    wanted = min(round(WINDOW_S * frames_per_s), n_frames // _PARTS)
    size = min(n_frames, max(_LEAST_FRAMES, wanted))
    last = n_frames - size
    starts = list(range(0, last + 1, max(1, size // _STEPS)))
    return size, starts if starts[-1] == last else [*starts, last]


def _cut(link: LinkFrames, places: NDArray[np.int64]) -> LinkFrames:
    return LinkFrames(link.link_id, link.features[places], link.frame_time_s[places])


def _pick_windows(
    probabilities: NDArray[np.float64], starts: Sequence[int], size: int
) -> list[int]:
    """Take the most probable windows that share no frame; in order of time.

    None below the median: of a short video, windows that share no frame are soon weak ones.
    """
    picked: list[int] = []
    median = np.median(probabilities)
    for window in np.argsort(-probabilities, kind="stable").tolist():
        is_apart = all(abs(starts[window] - starts[other]) >= size for other in picked)
        if len(picked) < _MOMENTS and is_apart and probabilities[window] >= median:
            picked.append(window)
    return sorted(picked)


def _find_loudest(
    scorer: Scorer, window: LinkFrames, column: int, probability: float
) -> tuple[int, float | None]:
    """Find the frame of a window that its genre misses most, and how much; see `Moment`."""
    n_frames = len(window.features)
    if n_frames == 1:
        return 0, None
    n_tried = min(n_frames, _LEFT_OUT)
    places = ((np.arange(n_tried) + 0.5) * n_frames / n_tried).astype(np.int64)
    # The first of equal ones is taken.
    places = places[np.argsort(np.abs(places - (n_frames - 1) / 2), kind="stable")]
    rest = [_cut(window, np.delete(np.arange(n_frames), place)) for place in places]
    # No frame shall be missed, or not missed, by an error of rounding.
    drops = (probability - scorer.predict_proba(rest)[:, column]).round(_DIGITS) + 0.0
    best = int(drops.argmax())
    return int(places[best]), float(drops[best])
