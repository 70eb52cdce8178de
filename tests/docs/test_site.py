"""The documentation site: built strictly, complete, and without requests to other hosts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sites import build_site
from submits import REPOSITORY

OUTSIDE = re.compile(r"^(https?:)?//")
STYLE_ADDRESS = re.compile(r"url\(\s*[\"']?([^\"')]+)")

LOADING = {"href", "src", "srcset", "poster", "data"}
LINKS_TO_FOLLOW = {("a", "href")}
"""Attributes that a reader clicks; a page fetches all others by itself."""


class Fetched(HTMLParser):
    """Addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADING and value is not None and (tag, name) not in LINKS_TO_FOLLOW:
                self.addresses.append(value)


def fetched_by(page: str) -> list[str]:
    parser = Fetched()
    parser.feed(page)
    return parser.addresses


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("site")
    done = build_site(REPOSITORY, out)
    assert done.returncode == 0, done.stdout
    yield out


def test_every_page_is_in_the_site(site: Path) -> None:
    docs = REPOSITORY / "docs"
    wanted = {str(path.relative_to(docs).with_suffix(".html")) for path in docs.rglob("*.md")}
    built = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert built - {"404.html"} == wanted
    assert "What is not protected" in (site / "security.html").read_text()


def test_no_page_fetches_anything_from_outside(site: Path) -> None:
    pages = {path: fetched_by(path.read_text()) for path in site.rglob("*.html")}
    outside = {str(p): [a for a in found if OUTSIDE.match(a)] for p, found in pages.items()}
    assert {page: found for page, found in outside.items() if found} == {}
    styles = [a for path in site.rglob("*.css") for a in STYLE_ADDRESS.findall(path.read_text())]
    assert [address for address in styles if OUTSIDE.match(address)] == []
    assert all(pages.values())


def test_resources_are_distinguished_from_links() -> None:
    page = '<link href="//fonts.example/x"><img src="a.png"><a href="https://b.example">b</a>'
    assert fetched_by(page) == ["//fonts.example/x", "a.png"]
    assert OUTSIDE.match("//fonts.example/x") and not OUTSIDE.match("a.png")


@pytest.mark.parametrize("broken", ["[x](gone.md)", "[x](first-run.md#gone)", "[x](/first-run.md)"])
def test_a_link_that_leads_nowhere_ends_the_build(broken: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    text = (REPOSITORY / "mkdocs.yml").read_text()
    start = text.index("nav:\n")
    (tmp_path / "mkdocs.yml").write_text(f"{text[:start]}nav: [index.md, first-run.md]\n")
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n{broken}\n")
    shutil.copyfile(REPOSITORY / "docs" / "outcomes.md", tmp_path / "docs" / "first-run.md")
    page = (tmp_path / "docs" / "first-run.md").read_text()
    (tmp_path / "docs" / "first-run.md").write_text(page.replace("](bad-inputs.md)", "](index.md)"))
    done = build_site(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert broken.split("(")[1].rstrip(")").split("#")[-1] in done.stdout
