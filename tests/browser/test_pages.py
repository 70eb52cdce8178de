"""The harness finds what it is there to find."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from browser import pages
from browser.pages import VIEWS, find_browser, find_faults

pytestmark = pytest.mark.slow

_HEAD = "<title>T</title><meta name=viewport content=width=device-width>"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STRICT = f'{_HEAD}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
_PALE = "<h1>A</h1><p style='color: #bbb; background: #fff'>pale</p>"


def page(content: str, head: str = _HEAD, lang: str = "en") -> str:
    return (
        f"<!doctype html><html lang='{lang}'><head><meta charset=utf-8>"
        f"<link rel=icon href='data:,'>{head}</head><body><main>{content}</main></body></html>"
    )


@pytest.mark.parametrize(
    ("html", "kinds"),
    [
        (page("<h1>Good</h1><p>Text</p>"), set()),
        (page("<h1>A</h1><script>console.warn('careful')</script>"), {"console"}),
        (page("<h1>A</h1><script>throw Error('broken')</script>"), {"error"}),
        (page("<h1>A</h1><img alt='' src='http://tracker.test/a.png'>"), {"console", "request"}),
        (page("<h1>A</h1><div style='width: 2000px'>wide</div>"), {"width"}),
        (page("<details><summary>A</summary><pre>" + "x" * 900 + "</pre></details>"), {"width"}),
        (page(_PALE), {"axe"}),
        (page(_PALE, _STRICT), {"axe"}),
        (page("<h1>A</h1><script>1</script>", _STRICT), {"console"}),
        (page("<h1>A</h1>", lang=""), {"axe"}),
    ],
    ids=[
        "good",
        "warns",
        "breaks",
        "asks outside",
        "wide",
        "wide inside",
        "pale",
        "pale and strict",
        "strict",
        "no language",
    ],
)
def test_faults_are_found(browser: Browser, html: str, kinds: set[str]) -> None:
    faults = find_faults(browser, html, VIEWS[0])
    assert {fault.partition(":")[0] for fault in faults} == kinds, faults


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        find_browser()
