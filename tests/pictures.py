"""Write the screenshots of the reports in the documentation: `python tests/pictures.py`.

They show generated runs and models, so they change only when a page changes. The score page shows
a real video from the real data: `TRAILERGENRE_DATA`, else ../shared/data beside the checkout.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from browser.pages import VIEWS, View, open_browser, open_window
from evaluated import evaluation_page
from real_pages import real_score_page
from reported import run_page

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs" / "img"
DATA = Path(os.environ.get("TRAILERGENRE_DATA", REPOSITORY.parent / "shared" / "data"))

SHOWN = {"desk-light": 1600, "phone-dark": 1500}
"""View -> height of the screenshot in px, from the top of the page."""

PARTS = {"evaluation": ("curves", "Precision and recall"), "run": ("throughput", "Throughput")}
"""Page -> a second screenshot further down: its name and heading."""


def main() -> None:
    """Write docs/img/<page>-<view>.png, and docs/img/<page>-<part>.png."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, open_browser() as browser:
        root = Path(directory)
        pages = {
            "evaluation": evaluation_page(root / "evaluation", movies=400),
            "run": run_page(root / "run"),
            "score": real_score_page(root / "score", DATA / "video"),
        }
        for name, html in pages.items():
            path = root / f"{name}.html"
            path.write_text(html)
            for view in VIEWS:
                if view.name in SHOWN:
                    take(browser, path, view, DOCS / f"{name}-{view.name}.png")
            if name in PARTS:
                part, heading = PARTS[name]
                take(browser, path, VIEWS[2], DOCS / f"{name}-{part}.png", heading=heading)


def take(browser: Browser, page: Path, view: View, target: Path, heading: str = "") -> None:
    """Take a screenshot of a page, from its top or from a heading."""
    with open_window(browser, view) as shown:
        shown.goto(page.as_uri())
        top = 0.0
        if heading:
            box = shown.locator("h2", has_text=heading).bounding_box()
            assert box is not None  # the heading is visible
            top = box["y"] - 24
        area = {"x": 0, "y": top, "width": view.width_px, "height": SHOWN[view.name]}
        shown.screenshot(path=target, full_page=True, clip=area)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
