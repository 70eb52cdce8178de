"""The evaluation and the run report as people see them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator

from browser.pages import CORNERS, VIEWS, View, assert_page_holds, open_window, unfold
from evaluated import evaluation_page
from reported import run_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each page with all that it can show, and a run of which nothing is known yet."""
    directory = tmp_path_factory.mktemp("pages")
    return {
        "evaluation": evaluation_page(directory / "evaluation", folds=2, movies=40),
        "run": run_page(directory / "run"),
        "run-only-begun": run_page(directory / "begun", without=240),
    }


@pytest.mark.parametrize("view", CORNERS, ids=lambda view: view.name)
@pytest.mark.parametrize("name", ["evaluation", "run"])
def test_the_page_holds(browser: Browser, pages: dict[str, str], name: str, view: View) -> None:
    assert_page_holds(browser, pages[name], view)


@pytest.mark.parametrize("view", VIEWS[1:3], ids=lambda view: view.name)
def test_a_page_of_almost_nothing_holds(
    browser: Browser, pages: dict[str, str], view: View
) -> None:
    assert_page_holds(browser, pages["run-only-begun"], view)


@pytest.mark.parametrize("name", ["evaluation", "run"])
def test_a_desk_has_room_for_every_table(
    browser: Browser, pages: dict[str, str], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages[name])
    with open_window(browser, VIEWS[2]) as page:
        page.goto(path.as_uri())
        unfold(page)
        widths = page.evaluate(
            "[...document.querySelectorAll('.wide')].map(e => [e.scrollWidth, e.clientWidth])"
        )
    assert len(widths) > 5
    assert [wide for wide, seen in widths if wide > seen] == []


@pytest.mark.parametrize("view", CORNERS, ids=lambda view: view.name)
def test_a_shadow_is_where_a_table_goes_on(
    browser: Browser, pages: dict[str, str], tmp_path: Path, view: View
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages["run"])
    is_wide = view.width_px < 900
    with open_window(browser, view) as page:
        page.goto(path.as_uri())
        table = page.locator(".wide", has_text="last commit")
        assert _shaded_edges(table) == (False, is_wide)
        table.evaluate("part => { part.scrollLeft = part.scrollWidth / 4 }")
        assert _shaded_edges(table) == (is_wide, is_wide)
        table.evaluate("part => { part.scrollLeft = part.scrollWidth }")
        assert _shaded_edges(table) == (is_wide, False)


@pytest.mark.parametrize("name", ["evaluation", "run"])
def test_what_is_shaded_begins_with_the_table(
    browser: Browser, pages: dict[str, str], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages[name])
    with open_window(browser, VIEWS[0]) as page:
        page.goto(path.as_uri())
        unfold(page)
        gaps = page.evaluate(
            "[...document.querySelectorAll('.wide')].map(part => part.querySelector('tr')"
            ".getBoundingClientRect().top - part.getBoundingClientRect().top)"
        )
        heights = page.evaluate(
            "[...document.querySelectorAll('table:not(.confusion) thead')]"
            ".map(head => head.getBoundingClientRect().height)"
        )
    assert len(gaps) > 5
    assert max(gaps) < 2
    assert max(heights) < 90  # a heading of more than three lines looks like a gap


def _shaded_edges(part: Locator) -> tuple[bool, bool]:
    """Whether the left and the right edge of a part of a page are of another colour than most."""
    pixels = np.asarray(Image.open(io.BytesIO(part.screenshot())).convert("L"), np.int64)
    ground = np.median(pixels)
    left, right = (bool(abs(np.median(pixels[:, x]) - ground) > 10) for x in (0, -1))
    return left, right


def test_light_and_dark_are_two_looks(
    browser: Browser, pages: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages["run"])
    grounds = set()
    for view in VIEWS:
        with open_window(browser, view) as page:
            page.goto(path.as_uri())
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.add((view.scheme, ground))
    assert len(grounds) == len({ground for _, ground in grounds}) == 2
