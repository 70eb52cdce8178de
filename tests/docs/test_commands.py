"""Every command of README and docs, as a reader types it: page by page, in one directory.

Only where a page says `<!-- not run: why -->` nothing is run; `test_pages` lists those and reads
their options.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks import list_pages, read_page
from checkout import Checkout, make_checkout, make_home
from demos import shared_demo
from trailergenre.cli.demo.server import serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

FIRST = ("README.md", "docs/first-run.md", "docs/own-data.md", "docs/model-card.md")
"""Pages whose runs and bundles other pages go on with, in the order in which one reads them."""


def pages_with_commands() -> list[str]:
    pages = [*FIRST, *(page for page in list_pages() if page not in FIRST)]
    return [page for page in pages if any(is_run(page))]


def is_run(page: str) -> Iterator[bool]:
    return (block.language == "sh" and not block.not_run for block in read_page(page))


PAGES = pages_with_commands()

Typed = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, mongo_uri: str
) -> Iterator[Checkout]:
    base = tmp_path_factory.mktemp("docs")
    demo = shared_demo(tmp_path_factory)
    made = Checkout(base / "checkout", base / "home", {"127.0.0.1:27017": mongo_uri.split("/")[2]})
    (base / "served").mkdir()
    make_home(made.home)
    with serve(base / "served") as server:
        make_checkout(
            made.root,
            backbone=tiny_backbone,
            demo=demo.out,
            served=base / "served",
            address=server.address,
        )
        yield made


@pytest.fixture(scope="module")
def typed(checkout: Checkout) -> Typed:
    """Types a page, after all that stand before it; each once."""
    done: dict[str, subprocess.CompletedProcess[str]] = {}

    def type_page(page: str) -> subprocess.CompletedProcess[str]:
        for earlier in PAGES[: PAGES.index(page) + 1]:
            if earlier not in done:
                done[earlier] = checkout.run_page(earlier)
        return done[page]

    return type_page


def test_pages_that_come_first_have_commands() -> None:
    assert PAGES[: len(FIRST)] == [*FIRST]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page: str, typed: Typed) -> None:
    done = typed(page)
    assert done.returncode == 0, done.stdout[-8000:]


def test_what_pages_say_is_left_is_there(checkout: Checkout, typed: Typed) -> None:
    typed(PAGES[-1])
    left = ("run-report.html", "score.html", "runs/mine/reports/evaluation.html")
    assert [name for name in left if (checkout.root / name).stat().st_size < 1000] == []
    assert {path.name for path in (checkout.root / "bundles").iterdir()} >= {"mine", "disk"}


def test_the_shell_stops_at_the_first_command_that_fails(checkout: Checkout) -> None:
    done = checkout.run_shell("alias say='echo said'\nsay once\nfalse | cat\nsay twice\n")
    assert done.returncode == 1
    assert done.stdout == "said once\n"
    assert checkout.run_shell("command -v spark-submit").returncode != 0
