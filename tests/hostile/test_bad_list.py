"""A list of which six rows in ten are bad, through the jobs: 100 rows, and 1,000 in the soak."""

from __future__ import annotations

import csv
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path

import pyarrow.compute as pc
import pytest

from clips import make_clip
from hostile import spellings
from killed import Driver, features_hash
from servers import Answer, AnswerServer, answer, content, page, redirect, status
from servers.manifests import hls, rss, videos
from servers.traps import Traps, traps
from submits import arguments
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint

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
"""Of a thousand rows, as all counts here."""


@dataclass
class List:
    """The list as it grows, and what each row must come to.

    Attributes:
        share: the whole list is a thousand rows by this.
        rows: cell and genre of each.
        row_outcomes: how many rows end in which class.
        outcomes: how many links do.
    """

    share: int
    rows: list[tuple[str, str]] = field(default_factory=list)
    row_outcomes: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, cell: str, row_outcome: RowOutcome, outcome: Outcome | None = None) -> None:
        """Add a row; `outcome` is of its link, where it is ready."""
        self.rows.append((cell, "" if row_outcome is RowOutcome.NO_LABEL else "Drama"))
        self.row_outcomes[row_outcome] += 1
        if outcome is not None:
            self.outcomes[outcome] += 1

    def n(self, of_a_thousand: int) -> int:
        """How many rows of a kind this list has."""
        return max(1, of_a_thousand // self.share)

    def write(self, path: Path) -> None:
        """Write it, bad rows between good ones."""
        mixed = random.Random(7).sample(self.rows, len(self.rows))
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
        for text in islice(texts, found.n(N_CELLS[row_outcome])):
            found.add(text, row_outcome)


def add_files(found: List, clips: Path, root: Path) -> None:
    for name, n, outcome in [
        ("good.mp4", 385, Outcome.OK),
        ("noise.mp4", 20, Outcome.NOT_MEDIA),
        ("cut.mp4", 20, Outcome.PARTIAL),
        ("sound.mp4", 10, Outcome.NO_VIDEO),
        ("film.gif", 10, Outcome.FORMAT_NOT_ALLOWED),
    ]:
        for number in range(found.n(n)):
            path = root / f"{number} {name}".replace(".gif", ".mp4")
            shutil.copy(clips / name, path)
            found.add(str(path), RowOutcome.READY, outcome)
    for number in range(found.n(20)):
        found.add(str(root / f"{number} good.mp4"), RowOutcome.DUPLICATE)
    for number in range(found.n(10)):
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
        for number in range(found.n(n)):
            url = f"http://{server.address}/{kind}/{number}.mp4"
            found.add(url, RowOutcome.READY, outcome)


@pytest.mark.parametrize("share", [10, pytest.param(1, marks=pytest.mark.soak)])
def test_every_row_of_a_bad_list_ends_once_and_in_its_class(
    share: int, clips: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    """Some links are throttled and wait for another run, hence exit code 4."""
    root, run, found = tmp_path / "videos", tmp_path / "run", List(share)
    root.mkdir()
    with answer() as server, traps() as trap:
        add_cells(found)
        add_files(found, clips, root)
        add_web(found, (clips / "good.mp4").read_bytes(), server, trap)
        found.write(tmp_path / "list.csv")
        settings = [f'network.allow=["{server.address}"]', f'links.allowed_roots=["{root}"]']
        words = ["--links", str(tmp_path / "list.csv")]
        prepared = driver.run("prepare_dataset", [*arguments(run, *settings), *words])
        assert prepared.code == 0, prepared.output

        settings += [f"backbone.path={tiny_backbone}", "limits.attempts=1"]
        settings += ["limits.deadline_s=60", "limits.max_file_bytes=1000000"]
        featurized = driver.featurize(arguments(run, *settings))
        assert featurized.code == 4, featurized.output
        assert trap.accepted == []

    store = Store(str(run))
    links = tables.read_table(store, "links")
    assert len(links) == len(found.rows)
    assert Counter(links["row_outcome"].to_pylist()) == found.row_outcomes
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    assert Counter(outcomes["outcome"].to_pylist()) == found.outcomes
    ready = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    assert sorted(outcomes["link_id"].to_pylist()) == sorted(ready["link_id"].to_pylist())
    assert share > 1 or (len(links), found.outcomes[Outcome.OK]) == (1000, 400)
    assert features_hash(store)  # all that verify checks holds
