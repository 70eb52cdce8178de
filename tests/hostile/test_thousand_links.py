"""A list of 1,000 links, six in ten bad, through the jobs as a user runs them."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path

import pyarrow.compute as pc
import pytest

from backbones import export_tiny
from clips import make_clip
from hostile import spellings
from servers import Answer, AnswerServer, answer, content, page, redirect, status
from servers.manifests import hls, rss, videos
from servers.traps import Traps, traps
from submits import submit
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.runs.verify.verify import verify_run

pytestmark = pytest.mark.slow

CELLS = {
    RowOutcome.LINK_EMPTY: ("", "  ", "\u00a0", "\ufeff"),
    RowOutcome.LINK_INVALID: (
        "not a url {n}",
        "-J{n}",
        "--exec=touch {n}",
        "http://user:pass@example.org/{n}",
        "http://example.org:99999/{n}",
        "http://a host/{n}",
        "http://{n}..b/",
        "https://youtu.be/short{n}",
    ),
    RowOutcome.SCHEME_REFUSED: (
        "ftp://example.org/{n}.mp4",
        "data:video/mp4;base64,{n}",
        "rtmp://example.org/{n}",
        "javascript:alert({n})",
        "ytsearch{n}:x",
        "//example.org/{n}",
        "file:///etc/passwd{n}",
        "/etc/passwd{n}.mp4",
    ),
    RowOutcome.HOST_DENIED: tuple(
        f"http://{host}/{{n}}.mp4" for host in spellings.HOSTS if host not in spellings.NAMES
    ),
    RowOutcome.NOT_A_SINGLE_VIDEO: (
        "https://www.youtube.com/@movies{n}",
        "https://www.youtube.com/channel/UCsQQo8qb62ik{n}",
        "https://www.youtube.com/user/movies{n}",
        "https://www.youtube.com/playlist?list=PL{n}",
        "https://www.youtube.com/results?search_query={n}",
    ),
}
N_CELLS = dict(zip(CELLS, (60, 110, 100, 100, 60), strict=True))


@dataclass
class List:
    """The list as it grows, and what each row must come to."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    row_outcomes: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, cell: str, row_outcome: RowOutcome, outcome: Outcome | None = None) -> None:
        """Add a row; `outcome` is of its link, where it is ready."""
        self.rows.append((cell, "" if row_outcome is RowOutcome.NO_LABEL else "Drama"))
        self.row_outcomes[row_outcome] += 1
        if outcome is not None:
            self.outcomes[outcome] += 1

    def write(self, path: Path) -> None:
        """Write it, bad rows between good ones."""
        # 7 has no factor in common with 1,000: every row comes once.
        mixed = [self.rows[number * 7 % len(self.rows)] for number in range(len(self.rows))]
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("url", "genres"), *mixed])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind."""
    directory = tmp_path_factory.mktemp("clips")
    film = "testsrc2=s=64x64:r=8:d=1"
    make_clip(directory / "good.mp4", film, "-movflags", "+faststart")
    long = make_clip(directory / "long.mp4", "testsrc2=s=64x64:r=8:d=20", "-movflags", "+faststart")
    (directory / "cut.mp4").write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    make_clip(directory / "sound.mp4", "sine=d=1")
    make_clip(directory / "film.gif", film)
    (directory / "noise.mp4").write_bytes(b"noise" * 100)
    return directory


def add_cells(found: List) -> None:
    for row_outcome, patterns in CELLS.items():
        texts = (pattern.format(n=n) for n, pattern in zip(count(), cycle(patterns), strict=False))
        for text in islice(texts, N_CELLS[row_outcome]):
            found.add(text, row_outcome)


def add_files(found: List, clips: Path, root: Path) -> None:
    for name, n, outcome in [
        ("good.mp4", 385, Outcome.OK),
        ("noise.mp4", 20, Outcome.NOT_MEDIA),
        ("cut.mp4", 20, Outcome.PARTIAL),
        ("sound.mp4", 10, Outcome.NO_VIDEO),
        ("film.gif", 10, Outcome.FORMAT_NOT_ALLOWED),
    ]:
        for number in range(n):
            path = root / f"{number} {name}".replace(".gif", ".mp4")
            shutil.copy(clips / name, path)
            found.add(str(path), RowOutcome.READY, outcome)
    for number in range(20):
        found.add(str(root / f"{number} good.mp4"), RowOutcome.DUPLICATE)
    for number in range(10):
        found.add(str(root / f"gone {number}.mp4"), RowOutcome.LINK_INVALID)
        found.add(f"https://example.org/{number}", RowOutcome.NO_LABEL)


def add_web(found: List, clip: bytes, server: AnswerServer, trap: Traps) -> None:
    denied = f"http://127.0.0.1:{trap.port}/x.mp4"
    kinds: list[tuple[int, Answer, Outcome]] = [
        (15, content(clip), Outcome.OK),
        (10, status(404), Outcome.UNAVAILABLE),
        (5, status(403), Outcome.FORBIDDEN),
        (4, status(503), Outcome.HTTP_5XX),
        (2, status(429, Retry_After="0"), Outcome.DEFERRED),
        (5, redirect(denied), Outcome.HOST_DENIED),
        (4, videos([denied]), Outcome.HOST_DENIED),
        (4, hls([denied]), Outcome.HOST_DENIED),
        (4, redirect("file:///etc/passwd"), Outcome.REDIRECT),
        (5, page("<p>x</p>"), Outcome.UNSUPPORTED_SITE),
        (4, videos(["1.mp4", "2.mp4"]), Outcome.NOT_A_SINGLE_VIDEO),
        (4, rss([denied, denied]), Outcome.NOT_A_SINGLE_VIDEO),
        (4, hls(["x.ts"], is_live=True), Outcome.LIVE),
        (4, content(b""), Outcome.NO_FILE),
        (4, content(b"\0" * 1_000_001), Outcome.TOO_LARGE),
        (4, content(clip, length=10 * len(clip)), Outcome.TRUNCATED_DOWNLOAD),
        (3, content(b"<html>" * 50), Outcome.NOT_MEDIA),
    ]
    for kind, (n, reply, outcome) in enumerate(kinds):
        server.answers[f"/{kind}/*"] = reply
        for number in range(n):
            url = f"http://{server.address}/{kind}/{number}.mp4"
            found.add(url, RowOutcome.READY, outcome)


def test_every_row_of_a_bad_list_ends_once_and_in_its_class(clips: Path, tmp_path: Path) -> None:
    """60 % bad; two links are throttled and wait for another run, hence exit code 4."""
    root, run, found = tmp_path / "videos", tmp_path / "run", List()
    root.mkdir()
    with answer() as server, traps() as trap:
        add_cells(found)
        add_files(found, clips, root)
        add_web(found, (clips / "good.mp4").read_bytes(), server, trap)
        settings = [f'network.allow=["{server.address}"]', f'links.allowed_roots=["{root}"]']
        found.write(tmp_path / "list.csv")
        more = [word for setting in settings for word in ("--set", setting)]
        prepared = submit("prepare_dataset", str(run), "--links", str(tmp_path / "list.csv"), *more)
        assert prepared.code == 0, prepared.output

        backbone = export_tiny(tmp_path / "backbone")
        settings = [f"backbone.path={backbone}", "limits.attempts=1"]
        settings += ["limits.deadline_s=60", "limits.max_file_bytes=1000000"]
        more += [word for setting in settings for word in ("--set", setting)]
        featurized = submit("featurize", str(run), *more)
        assert featurized.code == 4, featurized.output
        assert trap.accepted == []

    store = Store(str(run))
    links = tables.read_table(store, "links")
    assert len(links) == len(found.rows) == 1000
    assert Counter(links["row_outcome"].to_pylist()) == found.row_outcomes
    outcomes = tables.read_outcomes(store, choose_fingerprint(store, None))
    assert Counter(outcomes["outcome"].to_pylist()) == found.outcomes
    ready = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    assert sorted(outcomes["link_id"].to_pylist()) == sorted(ready["link_id"].to_pylist())
    bad = sum(found.row_outcomes.values()) - found.outcomes[Outcome.OK]
    assert bad == 600
    # The invariants I1 to I6.
    report = verify_run(store, choose_fingerprint(store, None))
    assert report.holds, report.lines()
