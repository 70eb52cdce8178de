"""The evaluation and the run report as people see them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.pages import VIEWS, View, assert_page_holds, open_window
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


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("name", ["evaluation", "run"])
def test_the_page_holds(browser: Browser, pages: dict[str, str], name: str, view: View) -> None:
    assert_page_holds(browser, pages[name], view)


@pytest.mark.parametrize("view", VIEWS[1:3], ids=lambda view: view.name)
def test_a_page_of_almost_nothing_holds(
    browser: Browser, pages: dict[str, str], view: View
) -> None:
    assert_page_holds(browser, pages["run-only-begun"], view)


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
