"""The page of one scored link as people see it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.pages import CORNERS, VIEWS, View, assert_page_holds, open_window
from score_pages import crowded_page, failed_page, score_page

pytestmark = pytest.mark.slow

_MARKS = """
[...document.querySelectorAll('.plot')].map(plot => {
  const text = document.createRange()
  const labels = [...plot.querySelectorAll('.top, .zero')].map(label => {
    text.selectNodeContents(label)
    return text.getBoundingClientRect().toJSON()
  })
  const numbers = [...plot.querySelectorAll('.number')].map(e => e.getBoundingClientRect().toJSON())
  return [plot.getBoundingClientRect().toJSON(), ...labels, ...numbers]
})
"""
"""Of each chart: its box, those of the texts of its two labels, those of its numbers."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("pages")
    return {
        "score": score_page(directory / "score"),
        "score-short": score_page(directory / "short", n_frames=5, weights="random(seed=7)"),
        "score-failed": failed_page(directory / "failed"),
        "score-crowded": crowded_page(directory / "crowded"),
    }


@pytest.mark.parametrize("view", CORNERS, ids=lambda view: view.name)
@pytest.mark.parametrize("name", ["score", "score-short", "score-failed"])
def test_the_page_holds(browser: Browser, pages: dict[str, str], name: str, view: View) -> None:
    assert_page_holds(browser, pages[name], view)


@pytest.mark.parametrize("view", VIEWS[::2], ids=lambda view: view.name)
def test_pictures_are_shown_in_the_shape_of_the_video_and_numbers_on_the_charts(
    browser: Browser, pages: dict[str, str], tmp_path: Path, view: View
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages["score"])
    with open_window(browser, view) as page:
        page.goto(path.as_uri())
        shapes = page.evaluate(
            "[...document.images].map(i => [i.naturalWidth, i.clientWidth / i.clientHeight])"
        )
        charts = page.evaluate(
            "[...document.querySelectorAll('.plot')].map(plot => [plot, "
            "...plot.querySelectorAll('.number')].map(e => e.getBoundingClientRect().toJSON()))"
        )
    assert len(shapes) == 9
    assert all(width == 299 for width, _ in shapes)
    assert all(shape == pytest.approx(16 / 9, rel=0.03) for _, shape in shapes)
    for plot, *numbers in charts:
        assert len(numbers) == 3
        middles = [number["left"] + number["width"] / 2 for number in numbers]
        assert all(plot["left"] <= middle <= plot["right"] for middle in middles)


@pytest.mark.parametrize("view", VIEWS[::2], ids=lambda view: view.name)
def test_numbers_on_a_chart_cover_neither_each_other_nor_the_label_of_its_axis(
    browser: Browser, pages: dict[str, str], tmp_path: Path, view: View
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages["score-crowded"])
    with open_window(browser, view) as page:
        page.goto(path.as_uri())
        charts = page.evaluate(_MARKS)
    assert len(charts) == 3
    for plot, *marks in charts:
        assert len(marks) == 2 + 3
        assert abs(marks[2]["left"] + marks[2]["width"] / 2 - plot["left"]) < 1  # at 0:00
        assert [
            (one, other)
            for one, other in itertools.combinations(marks, 2)
            if one["left"] < other["right"]
            and other["left"] < one["right"]
            and one["top"] < other["bottom"]
            and other["top"] < one["bottom"]
        ] == []
