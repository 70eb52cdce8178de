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


def main() -> None:
    """Write docs/img/<page>-<view>.png."""
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


def take(browser: Browser, page: Path, view: View, target: Path) -> None:
    """Write the top of a page as a picture."""
    with open_window(browser, view) as shown:
        shown.goto(page.as_uri())
        area = {"x": 0, "y": 0, "width": view.width_px, "height": SHOWN[view.name]}
        shown.screenshot(path=target, full_page=True, clip=area)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
