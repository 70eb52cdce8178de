"""Every kind of bad input ends in its class, with a reason, and leaves nothing behind.

What was measured is compared with docs/bad-inputs.md; `TRAILERGENRE_WRITE_DOCS=1` writes it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from clips import make_clip
from hostile.bench import Bench, Measured, open_bench
from hostile.cases import CELLS, Case
from hostile.decode_cases import CASES as FILES
from hostile.decode_cases import DecodeCase
from hostile.other_cases import DISKS, LISTS, MODELS, NETWORK
from hostile.web_cases import WEB
from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import DETAIL_MAX_CHARS
from trailergenre.base.sandbox.fork_client import stop_servers
from trailergenre.features.backbone import load_embedder
from trailergenre.frames.ffmpeg import ffmpeg_version

WRITE_DOCS = "TRAILERGENRE_WRITE_DOCS"


def as_case(file: DecodeCase) -> Case:
    """A file of the decoder's table, as a link of its own."""

    def measure(bench: Bench) -> Measured:
        with tempfile.TemporaryDirectory(dir=bench.root) as directory:
            path = file.make(Path(directory))
            return bench.visit(path.as_uri(), max_frames=60)

    return Case(file.name, file.outcome, measure)


@dataclass(frozen=True)
class Group:
    """Cases under one heading of the table."""

    title: str
    cases: Sequence[Case]


GROUPS = [
    Group("List cells", CELLS),
    Group("Lists", LISTS),
    Group("Link targets", WEB),
    Group("Network errors", NETWORK),
    Group("Downloaded files", [as_case(file) for file in FILES]),
    Group("Download results on disk", DISKS),
    Group("Model bundles", MODELS),
]
CASES = [case for group in GROUPS for case in group.cases]


@pytest.fixture(scope="module")
def bench(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("bench")
    source = "testsrc2=s=320x320:r=8:d=2"
    clip = make_clip(root / "clip.mp4", source, "-movflags", "+faststart").read_bytes()
    embedder = load_embedder(BackboneConfig(path=str(tiny_backbone), batch_size=4))
    with open_bench(embedder, clip, root) as made:
        yield made


def wrong(case: Case, measured: Measured) -> str | None:
    """What is wrong with how a case ended."""
    is_good = measured.outcome in {"ok", "ready"}
    complaints = {
        f"expected {case.expected}": measured.outcome != case.expected,
        "no reason": not measured.detail and not is_good,
        "a long reason": len(measured.detail) > DETAIL_MAX_CHARS and "exit" not in case.expected,
        "a reason of several lines": len(measured.detail.splitlines()) > 1,
        f"{measured.requests} requests": measured.requests > (case.most_requests or 1000),
    }
    found = [complaint for complaint, is_so in complaints.items() if is_so]
    return f"{case.shown}: {', '.join(found)}; {measured}" if found else None


@pytest.mark.parametrize("case", [*CELLS, *LISTS, *MODELS], ids=lambda case: case.shown[:40])
def test_what_needs_no_network_ends_in_its_class(case: Case, bench: Bench) -> None:
    assert wrong(case, case.measure(bench)) is None


@pytest.mark.slow
def test_every_kind_ends_in_its_class_and_leaves_nothing(
    bench: Bench, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = psutil.Process()
    children, files = process.children(recursive=True), process.num_fds()
    with ThreadPoolExecutor(3) as pool:
        together = [case for case in CASES if not case.is_alone]
        ends = pool.map(lambda case: case.measure(bench), together)
        measured = dict(zip(map(id, together), ends, strict=True))
    measured |= {id(case): case.measure(bench) for case in CASES if case.is_alone}

    complaints = [wrong(case, measured[id(case)]) for case in CASES]
    assert [complaint for complaint in complaints if complaint] == []
    assert bench.traps.accepted == []
    assert list(tmp_path.iterdir()) == []
    stop_servers()
    assert process.children(recursive=True) == children
    # The server's own ends of what stalls are open until they are released.
    bench.release.set()
    wait_until(lambda: process.num_fds() <= files)
    check_docs(repository / "docs" / "bad-inputs.md", measured)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what threads are about to do; the bound is for hangs."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_docs(path: Path, measured: dict[int, Measured]) -> None:
    """Compare the table with what was measured, or write it."""
    table = make_docs(measured)
    if os.environ.get(WRITE_DOCS):
        path.write_text(table, encoding="utf-8")
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    # Other releases find other words; the classes must be the same.
    if versions() not in written:
        table, written = without_details(table), without_details(written)
    how = f"{path.name} is out of date: run {WRITE_DOCS}=1 pytest -k every_kind {__file__}"
    assert written.splitlines() == table.splitlines(), how


def versions() -> str:
    python = ".".join(map(str, sys.version_info[:2]))
    return f"Python {python}, yt-dlp {version('yt-dlp')} and ffmpeg {ffmpeg_version()}"


def without_details(table: str) -> str:
    """Number, input and class of each row."""
    rows = [line.split(" | ")[:3] for line in table.splitlines() if line.startswith("| ")]
    return "\n".join(" | ".join(row) for row in rows)


def make_docs(measured: dict[int, Measured]) -> str:
    """Render the page."""
    bad = [case for case in CASES if case.expected not in {"ok", "ready"}]
    lines = [
        "# Bad inputs",
        "",
        f"This page lists the outcome of {len(bad)} kinds of bad input, and of",
        f"{len(CASES) - len(bad)} good ones that resemble them.",
        "",
        "Outcomes of list cells are in the table `links`, those of links in `outcomes`.",
        "`exit 2` means that the run does not start.",
        "`tests/hostile/test_bad_inputs.py` writes and checks this page.",
        f"The reasons were produced with {versions()}.",
    ]
    number = 0
    for group in GROUPS:
        lines += ["", f"## {group.title}", "", "| # | input | outcome | reason | note |"]
        lines += ["|---|---|---|---|---|"]
        for case in group.cases:
            number += 1
            cells = [str(number), case.shown, f"`{case.expected}`"]
            cells += [measured[id(case)].detail, case.note]
            lines += [f"| {' | '.join(escape(cell) for cell in cells)} |"]
    return "\n".join(lines) + "\n"


def escape(cell: str) -> str:
    """Text that stays in its cell and is no markup."""
    return cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
