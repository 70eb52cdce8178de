"""A page in a real, headless Chromium: what a person would trip over, in four views.

The browser is the system's: none is ever fetched. It gets no network, and pages are files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

_BROWSERS = ("chromium", "google-chrome", "chromium-browser")

_GRAVE = {"serious", "critical"}
"""Impacts of axe-core's findings that are faults."""


@dataclass(frozen=True)
class View:
    """How a page is looked at.

    Attributes:
        name: for the test's id.
        width_px: of the window.
        height_px: of the window.
        scheme: that the system asks for.
    """

    name: str
    width_px: int
    height_px: int
    scheme: Literal["light", "dark"]


VIEWS = (
    View("phone-light", 390, 844, "light"),
    View("phone-dark", 390, 844, "dark"),
    View("desk-light", 1280, 800, "light"),
    View("desk-dark", 1280, 800, "dark"),
)
CORNERS = (VIEWS[0], VIEWS[3])
"""Each width and each scheme once: widths do not change colours, nor schemes the layout."""


def find_browser() -> str:
    """The path of the system's browser.

    Raises:
        FileNotFoundError: there is none; says how to get it.
    """
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(
            f"The browser tests need Chromium, and PATH has none of {', '.join(_BROWSERS)}. "
            "Install it (Debian: apt-get install chromium; Fedora: dnf install chromium); "
            "`make test-all` does where it may."
        )
    return found


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser; it ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_window(browser: Browser, view: View) -> Iterator[Page]:
    """A window of its own, without network."""
    context = browser.new_context(
        viewport={"width": view.width_px, "height": view.height_px},
        color_scheme=view.scheme,
        offline=True,
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def assert_page_holds(browser: Browser, html: str, view: View) -> None:
    """Nothing said on the console, nothing asked for, nothing wider than the window, readable."""
    assert find_faults(browser, html, view) == []


def find_faults(browser: Browser, html: str, view: View) -> list[str]:
    """What is wrong with a page in one view; its folded parts are looked at too."""
    faults: list[str] = []
    asked: list[str] = []
    with tempfile.TemporaryDirectory() as directory, open_window(browser, view) as page:
        path = Path(directory) / "page.html"
        path.write_text(html)
        page.on("console", lambda said: faults.append(f"console: {said.type}: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        faults += _width_faults(page, "")
        unfold(page)
        faults += _width_faults(page, ", unfolded")
        faults += _axe_faults(page)
        outside = [url for url in asked if url != path.as_uri() and not url.startswith("data:")]
    return faults + [f"request: {url}" for url in outside]


def unfold(page: Page) -> None:
    """Open all that a person could open."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")


def _width_faults(page: Page, when: str) -> list[str]:
    root = "document.documentElement"
    wide, seen = page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]")
    return [f"width: {wide} px in a window of {seen} px{when}"] if wide > seen else []


def _axe_faults(page: Page) -> list[str]:
    # A script, but one that the browser's driver runs: the page's policy stays as it is.
    found = Axe().run(page).response["violations"]
    return [
        f"axe: {rule['id']} ({rule['impact']}): {node['html'][:200]}"
        for rule in found
        if rule["impact"] in _GRAVE
        for node in rule["nodes"]
    ]
