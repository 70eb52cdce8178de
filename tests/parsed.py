"""A report's HTML, parsed: what it refers to, and whether every tag is closed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """One page.

    Attributes:
        tags: all that begin, in order.
        addresses: what `src` and `href` name.
        texts: what is shown, without the style.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that is shown, blanks folded."""
        return " ".join(" ".join(self.texts).split())


def assert_stands_alone(html: str) -> Page:
    """No script, nothing loaded, every tag closed, light and dark."""
    page = Page(html)
    assert page.open == []
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import", html)
    assert "prefers-color-scheme: dark" in html
    assert "default-src 'none'" in html
    return page
