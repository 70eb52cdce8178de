"""The documentation's site in a browser: quiet, as wide as its window, nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.pages import VIEWS, View
from servers.files import FileServer, serve
from sites import build_site
from submits import REPOSITORY

pytestmark = pytest.mark.slow

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    out = tmp_path_factory.mktemp("site")
    done = build_site(REPOSITORY, out)
    assert done.returncode == 0, done.stdout
    with serve(out) as server:
        yield server


@pytest.mark.parametrize(
    "view",
    [VIEWS[0], pytest.param(VIEWS[-1], marks=pytest.mark.soak)],
    ids=lambda view: view.name,
)
def test_the_site_is_quiet_and_asks_for_nothing_from_outside(
    browser: Browser, site: FileServer, view: View
) -> None:
    size = {"width": view.width_px, "height": view.height_px}
    context = browser.new_context(viewport=size, color_scheme=view.scheme)
    asked: list[str] = []
    faults: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda said: faults.append(f"{said.type}: {said.text}"))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    docs = REPOSITORY / "docs"
    names = sorted(path.stem for path in docs.glob("*.md"))
    # Side by side, for each is watched until it has asked for nothing for half a second.
    pages = {name: context.new_page() for name in names}
    for name, page in pages.items():
        page.goto(f"http://{site.address}/{name}.html")
    for name, page in pages.items():
        page.wait_for_load_state("networkidle")
        faults += [f"{name} is too wide"] if page.evaluate(WIDE) > 0 else []
    context.close()
    assert faults == []
    assert len(asked) > len(names)
    assert [url for url in asked if not url.startswith(f"http://{site.address}/")] == []
    pictures = {Path(url).name for url in asked}
    assert "architecture.svg" in pictures
