from __future__ import annotations

import re
from typing import Any

import pytest

from bundles import make_manifest
from trailergenre.base.records import INCEPTION_V3_FRAME, FrameForm
from trailergenre.models.timeline import GenreLine, InfluentialFrame, Timeline
from trailergenre.reports.score_page import GenreResult, format_clock, render_score

RECORD: dict[str, Any] = {
    "link": "https://films.test/a",
    "link_id": "a" * 64,
    "outcome": "ok",
    "help": "features are stored",
    "detail": "",
    "notes": [],
    "steps": [{"name": "link", "outcome": "ok", "seconds": None}],
    "total_s": 20.0,
    "video": {
        "frames": 40,
        "size_bytes": 1000,
        "attempts": 1,
        "pictures_s": 40.0,
        "width_px": 640,
        "height_px": 360,
    },
    "frames_per_s": 1.0,
    "manifest": make_manifest(),
    "form": INCEPTION_V3_FRAME,
    "kind": "A random forest",
    "input": "one row",
    "sha256": "b" * 64,
    "version": "0.1.0",
    "created_at": "2026-01-01T00:00:00+00:00",
}


def frame_at(seconds: float, drop: float | None = 0.01) -> InfluentialFrame:
    return InfluentialFrame(frame_index=0, frame_time_s=seconds, probability=0.25, drop=drop)


def render(
    *,
    frames: tuple[InfluentialFrame, ...] = (),
    probability: float = 0.25,
    threshold: float = 0.5,
    form: FrameForm = INCEPTION_V3_FRAME,
) -> str:
    """A page of one genre in three windows of 10 s, every 15 s of 40 s."""
    line = GenreLine("Drama", [0.1, 0.4, 0.2], list(frames))
    timeline = Timeline(length_s=40, window_s=10, starts_s=[0, 15, 30], lines=[line])
    genre = GenreResult("Drama", probability, threshold, 0.125)
    record = {**RECORD, "form": form}
    return render_score(record, [genre], timeline=timeline, pictures=[b"picture"])


def test_squeezed_frames_are_stretched_back_and_cropped_ones_are_not() -> None:
    frames = (frame_at(1.0),)
    assert "aspect-ratio: 640 / 360" in render(frames=frames)
    assert "the network sees them as 299 x 299 pixels" in render(frames=frames)
    cropped = render(frames=frames, form=FrameForm(224, 224, "center-crop"))
    assert "aspect-ratio: 640 / 360" not in cropped
    assert "the middle of each picture" in cropped


def points_of(page: str) -> list[tuple[float, float]]:
    (points,) = re.findall(r'<polyline class="line" points="([^"]*)"', page)
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


def test_the_line_goes_through_the_middles_of_the_windows_from_end_to_end() -> None:
    assert points_of(render()) == [(0, 75), (125, 75), (500, 0), (875, 50), (1000, 50)]


@pytest.mark.parametrize(
    ("probability", "threshold", "peak", "shows_threshold"),
    [(0.25, 0.5, "0.4", False), (0.25, 0.4, "0.4", True), (0.97, 0.5, "1.0", True)],
)
def test_the_scale_holds_all_probabilities_and_a_threshold_only_where_it_fits(
    probability: float, threshold: float, peak: str, shows_threshold: bool
) -> None:
    page = render(probability=probability, threshold=threshold)
    assert f'<span class="top" aria-hidden="true">{peak}</span>' in page
    # Once in the legend.
    assert page.count('<line class="threshold"') == 1 + shows_threshold
    assert all(0 <= y <= 100 for _, y in points_of(page))


def test_the_chart_is_told_in_words_and_as_a_table() -> None:
    page = render()
    expected = "between .100 and .400, highest at 0:15–0:25; the whole trailer has .250."
    assert f'aria-label="Drama by window: {expected}"' in page
    for row in ("0:00–0:10</th><td>.100", "0:15–0:25</th><td>.400", "0:30–0:40</th><td>.200"):
        assert f'<th scope="row">{row}</td>' in page


def test_a_genre_is_given_from_its_threshold_on() -> None:
    given, not_given = render(threshold=0.25), render(threshold=0.26)
    assert "Predicted genres: Drama." in given
    assert (
        "Predicted: the threshold is .250. 12.5 % of the training trailers have this genre."
        in given
    )
    assert "none reaches its threshold" in not_given
    assert "Not predicted: the threshold is .260." in not_given


def test_numbers_of_frames_that_are_near_each_other_do_not_stand_on_each_other() -> None:
    page = render(frames=tuple(frame_at(seconds) for seconds in (4, 6, 8, 10, 30, 31, 32)))
    found = re.findall(r'<span class="number" style="left: ([\d.]+)%; top: ([-\d.]+)rem"', page)
    lefts = [float(left) for left, _ in found]
    assert lefts == [10, 15, 20, 25, 75, 77.5, 80]
    assert [float(top) for _, top in found] == [-0.5, 1, -0.5, 1, -0.5, 1, 2.5]


@pytest.mark.parametrize(
    ("drop", "text"),
    [(0.01, "; .010 lower without it"), (0.0, "; not lower"), (None, "window of .250<")],
)
def test_a_picture_says_how_much_its_window_misses_it(drop: float | None, text: str) -> None:
    page = render(frames=(frame_at(12, drop),))
    (alternative,) = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert alternative == "Frame at 0:12, number 1 on the chart of Drama"
    assert text.replace("<", '<span class="soft"></span>') in page
    assert 'style="aspect-ratio: 640 / 360"' in page


def test_times_have_no_more_digits_than_they_need() -> None:
    times_s = (0, 5, 59.999, 60, 75.5, 0.04, 1199)
    shown = ["0:00", "0:05", "1:00", "1:00", "1:15.5", "0:00.04", "19:59"]
    assert [format_clock(seconds) for seconds in times_s] == shown


@pytest.mark.parametrize(
    ("length_s", "ticks"),
    [
        (0.5, ["0:00"]),
        (5, ["0:00", "0:01", "0:02", "0:03", "0:04", "0:05"]),
        (150, ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30"]),
        (1200, ["0:00", "5:00", "10:00", "15:00", "20:00"]),
        (3600, ["0:00", "20:00", "40:00", "60:00"]),
    ],
)
def test_a_telephone_has_room_for_the_times(length_s: float, ticks: list[str]) -> None:
    line = GenreLine("Drama", [0.1], [])
    timeline = Timeline(length_s=length_s, window_s=length_s, starts_s=[0], lines=[line])
    genre = GenreResult("Drama", 0.1, 0.5, 0.1)
    page = render_score(RECORD, [genre], timeline=timeline, pictures=[])
    found = re.findall(r'class="tick" style="left: [\d.]+%" aria-hidden="true">([\d:]+)<', page)
    assert found == ticks


def test_what_strangers_wrote_is_escaped() -> None:
    record = RECORD | {"link": '"><script>alert(1)</script>', "outcome": "decode", "detail": "<b>"}
    page = render_score(record, [], timeline=None, pictures=[])
    assert "alert(1)" in page
    assert "<script>" not in page
    assert "<b>" not in page
