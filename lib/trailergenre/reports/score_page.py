"""The page of one scored link: its genres, their charts along the trailer, and the steps."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trailergenre.models.timeline import GenreLine, Timeline
from trailergenre.reports.pages import render_page

_WIDTH, _HEIGHT = 1000, 100
"""Size of a chart in its own coordinates; the browser stretches it, and texts lie outside."""
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Possible distances of the labels on the time axis."""
_N_TICKS = 5
"""Labels that fit side by side on a phone."""
_MIN_DISTANCE = 8.0
"""Percent of the width; two numbers closer than this overlap on a phone."""


class GenreResult(NamedTuple):
    """A genre's probability, beside the threshold and frequency that it is compared with."""

    genre: str
    probability: float  # of the whole video
    threshold: float  # probability from which on the genre is predicted
    prior: float  # share of the training part that has the genre

    @property
    def is_predicted(self) -> bool:
        """Whether the model predicts the genre."""
        return self.probability >= self.threshold


def render_score(
    record: Mapping[str, object],
    genres: Sequence[GenreResult],
    *,
    timeline: Timeline | None,
    pictures: Sequence[bytes],
    neighbours: Mapping[str, str] | None = None,
) -> str:
    """Render the HTML page of one link, from the variables that `link_report` gives.

    `genres` are all of the model, the most probable first; the first have a chart in `timeline`.
    Both are empty if the link failed. `pictures` holds a JPEG of each frame.
    """
    if timeline is None:
        return render_page("score.html", record, neighbours=neighbours, genres=[], timeline=None)
    shown = genres[: len(timeline.lines)]
    highest = max(
        *(max(line.probabilities) for line in timeline.lines),
        *(genre.probability for genre in shown),
    )
    # One scale for all charts, so that heights can be compared.
    y_max = max(1, math.ceil(10 * highest - 1e-9)) / 10
    step = next((s for s in _TICKS_S if timeline.length_s / s <= _N_TICKS), _TICKS_S[-1])
    ticks_s = [float(step * k) for k in range(int(timeline.length_s / step) + 1)]
    return render_page(
        "score.html",
        record,
        neighbours=neighbours,
        genres=shown,
        predicted=[genre.genre for genre in genres if genre.is_predicted],
        timeline=timeline,
        y_max=y_max,
        panels=[
            _draw_panel(genre, line, timeline=timeline, pictures=pictures, y_max=y_max)
            for genre, line in zip(shown, timeline.lines, strict=True)
        ],
        ticks=[(_percent(time_s, timeline), format_clock(time_s)) for time_s in ticks_s],
        windows=[
            (_format_span(start_s, timeline), [line.probabilities[row] for line in timeline.lines])
            for row, start_s in enumerate(timeline.starts_s)
        ],
    )


def format_clock(seconds: float) -> str:
    """Format a position in a video.

    >>> format_clock(75), format_clock(12.5), format_clock(0)
    ('1:15', '0:12.5', '0:00')
    """
    minutes, rest = divmod(round(seconds, 2), 60)
    shown = f"{rest:05.2f}".rstrip("0") if rest % 1 else f"{rest:02.0f}"
    return f"{minutes:.0f}:{shown}"


def _format_span(start_s: float, timeline: Timeline) -> str:
    return f"{format_clock(start_s)}–{format_clock(start_s + timeline.window_s)}"


def _percent(time_s: float, timeline: Timeline) -> float:
    return round(100 * time_s / timeline.length_s, 2)


def _draw_panel(
    genre: GenreResult,
    line: GenreLine,
    *,
    timeline: Timeline,
    pictures: Sequence[bytes],
    y_max: float,
) -> dict[str, object]:
    """Figures and coordinates of one genre's chart."""

    def to_y(probability: float) -> float:
        return round(_HEIGHT * (1 - probability / y_max), 1)

    # A point is the middle of its window; the line extends to both ends of the windows.
    begin_s, end_s = timeline.starts_s[0], timeline.starts_s[-1] + timeline.window_s
    times_s = [begin_s, *(start_s + timeline.window_s / 2 for start_s in timeline.starts_s), end_s]
    xs = [round(_WIDTH * time_s / timeline.length_s, 1) for time_s in times_s]
    shown = [line.probabilities[0], *line.probabilities, line.probabilities[-1]]
    points = " ".join(f"{x},{to_y(p)}" for x, p in zip(xs, shown, strict=True))
    highest = max(range(len(line.probabilities)), key=line.probabilities.__getitem__)
    return {
        "genre": genre,
        "points": points,
        "area": f"{xs[0]},{_HEIGHT} {points} {xs[-1]},{_HEIGHT}",
        "low": min(line.probabilities),
        "high": line.probabilities[highest],
        "high_at": _format_span(timeline.starts_s[highest], timeline),
        "whole_y": to_y(genre.probability),
        "threshold_y": to_y(genre.threshold) if genre.threshold <= y_max else None,
        "thumbnails": _place_thumbnails(line, timeline, pictures),
    }


def _place_thumbnails(
    line: GenreLine, timeline: Timeline, pictures: Sequence[bytes]
) -> list[dict[str, object]]:
    """The frames of one genre; each number gets the first row where no other is too close."""
    thumbnails: list[dict[str, object]] = []
    places: list[tuple[float, int]] = []
    for number, frame in enumerate(line.frames, start=1):
        left = _percent(frame.frame_time_s, timeline)
        taken = {row for other, row in places if left - other < _MIN_DISTANCE}
        row = next(row for row in range(number) if row not in taken)
        places.append((left, row))
        content = base64.b64encode(pictures[frame.frame_index]).decode()
        thumbnails.append(
            {
                "number": number,
                "clock": format_clock(frame.frame_time_s),
                "left": left,
                "row": row,
                "address": f"data:image/jpeg;base64,{content}",
                "probability": frame.probability,
                "drop": frame.drop,
            }
        )
    return thumbnails
