"""Write the pictures of the reports that the docs show: `python tests/pictures.py`.

They are of made runs and models, so they look the same until a page looks otherwise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from browser.pages import VIEWS, View, open_browser, open_window
from evaluated import evaluation_page
from reported import run_page
from score_pages import score_page

DOCS = Path(__file__).resolve().parent.parent / "docs" / "img"

SHOWN = {"desk-light": 1600, "phone-dark": 1500}
"""View -> the height that is shown, px: the top of a page."""

PARTS = {"evaluation": ("curves", "Precision and recall"), "run": ("throughput", "Throughput")}
"""Page -> a part further down that is shown too: its name, and how its heading begins."""


def main() -> None:
    """Write docs/img/<page>-<view>.png, and docs/img/<page>-<part>.png."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, open_browser() as browser:
        root = Path(directory)
        pages = {
            "evaluation": evaluation_page(root / "evaluation", movies=400),
            "run": run_page(root / "run"),
            "score": score_page(root / "score"),
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
    """Write a page as a picture: its top, or what begins with a heading."""
    with open_window(browser, view) as shown:
        shown.goto(page.as_uri())
        top = 0.0
        if heading:
            box = shown.locator("h2", has_text=heading).bounding_box()
            assert box is not None  # it is there, and seen
            top = box["y"] - 24
        area = {"x": 0, "y": top, "width": view.width_px, "height": SHOWN[view.name]}
        shown.screenshot(path=target, full_page=True, clip=area)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
