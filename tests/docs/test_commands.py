"""The commands of the README, typed as a reader would; of all pages where PAGES_TO_TYPE is "all".

`make soak PART=docs` types all pages. `test_pages` checks the options of every command.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks import list_pages, read_page
from checkout import Checkout, make_checkout, make_home
from servers.files import serve
from shared import shared_demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

FIRST = (
    *("README.md", "docs/first-run.md", "docs/own-data.md", "docs/model-card.md"),
    "docs/score.md",
)
"""Pages whose runs and bundles later pages use, in reading order."""
TRAILER = "https://www.youtube.com/watch?v=eUTtt14G31c"
"""The link in the README that is replaced by one of a server on loopback."""
MONGO = "127.0.0.1:27017"


def pages_to_type() -> list[str]:
    if os.environ.get("PAGES_TO_TYPE") != "all":
        return ["README.md"]
    pages = [*FIRST, *(page for page in list_pages() if page not in FIRST)]
    return [p for p in pages if any(b.language == "sh" and not b.not_run for b in read_page(p))]


PAGES = pages_to_type()

Typed = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path
) -> Iterator[Checkout]:
    base = tmp_path_factory.mktemp("docs")
    demo = shared_demo(tmp_path_factory)
    served = base / "served"
    served.mkdir()
    make_home(base / "home")
    with serve(served) as server:
        names = {TRAILER: f"http://{server.address}/comedy-00.mp4"}
        if len(PAGES) > 1:
            names[MONGO] = request.getfixturevalue("mongo_uri").split("/")[2]
        made = Checkout(base / "checkout", base / "home", names)
        make_checkout(
            made.root,
            backbone=tiny_backbone,
            demo=demo.out,
            served=served,
            address=server.address,
        )
        yield made


@pytest.fixture(scope="module")
def typed(checkout: Checkout) -> Typed:
    """Types a page after those before it, each once."""
    done: dict[str, subprocess.CompletedProcess[str]] = {}

    def type_page(page: str) -> subprocess.CompletedProcess[str]:
        for earlier in PAGES[: PAGES.index(page) + 1]:
            if earlier not in done:
                done[earlier] = checkout.run_page(earlier)
        return done[page]

    return type_page


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page: str, typed: Typed) -> None:
    done = typed(page)
    assert done.returncode == 0, done.stdout[-8000:]


def words_of(line: str) -> list[str]:
    return re.findall(r"[\w-]+", line)


def test_the_readme_shows_what_its_commands_print_and_leave(
    checkout: Checkout, typed: Typed
) -> None:
    shown = next(b.text for b in read_page("README.md") if b.text.startswith("┏"))
    printed = [words_of(line) for line in typed("README.md").stdout.splitlines()]
    assert words_of(shown.splitlines()[1]) in printed
    assert (checkout.root / "score.html").stat().st_size > 1000
    run = checkout.root / "runs" / "links"
    left = ("bundle/MODEL_CARD.md", "reports/run.html", "reports/evaluation.html")
    assert [name for name in left if not (run / name).is_file()] == []
    with (checkout.root / "genres.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["year"], row["outcome"]) for row in rows] == [
        ("2019", "ok"),
        ("2020", "unavailable"),
        ("2021", "ok"),
    ]


def test_the_shell_stops_at_the_first_command_that_fails(checkout: Checkout) -> None:
    done = checkout.run_shell("alias say='echo said'\nsay once\nfalse | cat\nsay twice\n")
    assert done.returncode == 1
    assert done.stdout == "said once\n"
    assert checkout.run_shell("command -v spark-submit").returncode != 0
