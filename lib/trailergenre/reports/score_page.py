"""One link's score to its page: genres, the timeline with the frames that spoke most, the steps.

Places in the charts are computed here, figures are not. Knows nothing of models.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trailergenre.models.timeline import GenreLine, Timeline
from trailergenre.reports.pages import render_page

_WIDTH, _HEIGHT = 1000, 100
"""Of a chart's own coordinates; it is stretched to the page, and its texts stand beside it."""

_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds that may lie between two labels of the time axis."""

_N_TICKS = 5
"""Labels that fit beside each other on a telephone."""

_NEAR = 8.0
"""Percent of the width below which two numbers would cover each other on a telephone."""


@dataclass(frozen=True, slots=True)
class ShownGenre:
    """A genre of a score, beside what it is to be compared with.

    Attributes:
        genre: its name.
        probability: 0..1, of the whole video.
        threshold: from which on a movie is given the genre.
        prior: share of the training part that has it.
    """

    genre: str
    probability: float
    threshold: float
    prior: float

    @property
    def is_given(self) -> bool:
        """Whether the model says that the movie has it."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A frame on a genre's chart.

    Attributes:
        number: that ties the picture to its place; in order of time.
        clock: its time.
        left: place on the chart, percent from the left.
        row: how far down its number stands; 0 where no other is near.
        address: the picture, as a data address.
        probability: of the genre in the frame's window.
        drop: see `moments.Moment`.
    """

    number: int
    clock: str
    left: float
    row: int
    address: str
    probability: float
    drop: float | None


@dataclass(frozen=True, slots=True)
class Panel:
    """The chart of one genre.

    Attributes:
        genre: of what.
        points: of the line, in the chart's coordinates.
        area: what lies below the line.
        low: the least probability of a window.
        high: the greatest.
        high_at: when that window is.
        whole_y: height of the whole video's probability.
        threshold_y: height of the threshold; None where it lies above the chart.
        thumbnails: its frames.
    """

    genre: ShownGenre
    points: str
    area: str
    low: float
    high: float
    high_at: str
    whole_y: float
    threshold_y: float | None
    thumbnails: list[Thumbnail]


def render_score(
    record: Mapping[str, object],
    genres: Sequence[ShownGenre],
    *,
    timeline: Timeline | None,
    pictures: Sequence[bytes],
) -> str:
    """Render the page of one link.

    Args:
        record: what `link_report` says of the link, its steps and its model.
        genres: all that the model knows, the most probable first; none where the link failed.
        timeline: of the first of them, which are shown; None where the link failed.
        pictures: a JPEG of each frame.
    """
    if timeline is None:
        return render_page("score.html", record, genres=[], timeline=None)
    shown = genres[: len(timeline.lines)]
    peak = _find_peak(shown, timeline)
    return render_page(
        "score.html",
        record,
        genres=shown,
        given=[genre.genre for genre in genres if genre.is_given],
        timeline=timeline,
        peak=peak,
        panels=[
            _draw_panel(genre, line, timeline=timeline, pictures=pictures, peak=peak)
            for genre, line in zip(shown, timeline.lines, strict=True)
        ],
        ticks=[
            (_percent(at_s, timeline), format_clock(at_s))
            for at_s in _find_ticks(timeline.length_s)
        ],
        windows=[
            (_format_span(start_s, timeline), [line.probabilities[row] for line in timeline.lines])
            for row, start_s in enumerate(timeline.starts_s)
        ],
    )


def format_clock(seconds: float) -> str:
    """Show a time of a video.

    >>> format_clock(75), format_clock(12.5), format_clock(0)
    ('1:15', '0:12.5', '0:00')
    """
    minutes, rest = divmod(round(seconds, 2), 60)
    shown = f"{rest:05.2f}".rstrip("0") if rest % 1 else f"{rest:02.0f}"
    return f"{minutes:.0f}:{shown}"


def _format_span(start_s: float, timeline: Timeline) -> str:
    return f"{format_clock(start_s)}–{format_clock(start_s + timeline.window_s)}"


def _percent(at_s: float, timeline: Timeline) -> float:
    return round(100 * at_s / timeline.length_s, 2)


def _find_ticks(length_s: float) -> list[float]:
    """Choose the times that stand below the charts."""
    step = next((s for s in _TICKS_S if length_s / s <= _N_TICKS), _TICKS_S[-1])
    return [float(step * k) for k in range(int(length_s / step) + 1)]


def _find_peak(genres: Sequence[ShownGenre], timeline: Timeline) -> float:
    """The top of all charts: they have one scale, so that heights can be compared."""
    highest = max(
        *(max(line.probabilities) for line in timeline.lines),
        *(genre.probability for genre in genres),
    )
    return max(1, math.ceil(10 * highest - 1e-9)) / 10


def _draw_panel(
    genre: ShownGenre,
    line: GenreLine,
    *,
    timeline: Timeline,
    pictures: Sequence[bytes],
    peak: float,
) -> Panel:
    def height(probability: float) -> float:
        return round(_HEIGHT * (1 - probability / peak), 1)

    # A point is the middle of its window; the first and the last reach to their windows' ends.
    begins_s, ends_s = timeline.starts_s[0], timeline.starts_s[-1] + timeline.window_s
    times_s = [begins_s, *(at_s + timeline.window_s / 2 for at_s in timeline.starts_s), ends_s]
    places = [round(_WIDTH * at_s / timeline.length_s, 1) for at_s in times_s]
    shown = [line.probabilities[0], *line.probabilities, line.probabilities[-1]]
    points = " ".join(f"{x},{height(p)}" for x, p in zip(places, shown, strict=True))
    highest = max(range(len(line.probabilities)), key=line.probabilities.__getitem__)
    return Panel(
        genre=genre,
        points=points,
        area=f"{places[0]},{_HEIGHT} {points} {places[-1]},{_HEIGHT}",
        low=min(line.probabilities),
        high=line.probabilities[highest],
        high_at=_format_span(timeline.starts_s[highest], timeline),
        whole_y=height(genre.probability),
        threshold_y=height(genre.threshold) if genre.threshold <= peak else None,
        thumbnails=_place_thumbnails(line, timeline, pictures),
    )


def _place_thumbnails(
    line: GenreLine, timeline: Timeline, pictures: Sequence[bytes]
) -> list[Thumbnail]:
    placed: list[Thumbnail] = []
    for number, moment in enumerate(line.moments, start=1):
        left = _percent(moment.frame_time_s, timeline)
        taken = {other.row for other in placed if left - other.left < _NEAR}
        content = base64.b64encode(pictures[moment.frame_index]).decode()
        placed.append(
            Thumbnail(
                number=number,
                clock=format_clock(moment.frame_time_s),
                left=left,
                row=next(row for row in range(number) if row not in taken),
                address=f"data:image/jpeg;base64,{content}",
                probability=moment.probability,
                drop=moment.drop,
            )
        )
    return placed
