"""Pace, deferral and retry as a site sees them: by its log, also when a worker is killed."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from clips import make_clip
from killed import Driver
from lists import write_links
from servers import answer, content, status
from submits import finish, standalone_cluster
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint

pytestmark = pytest.mark.slow

GAP_S = 3.0
"""Longer than an attempt takes, so that it is the pace that is seen."""


@dataclass
class Site:
    """Serves one clip under every path, and looks at who asks.

    Attributes:
        body: the clip.
        killed_at: attempt at the paced host, from 1, whose Spark worker is killed.
        attempts: process of an attempt at the paced host -> when it first asked.
        workers: the Spark workers that they came from.
        most_at_once: requests to the other host that were open at the same time.
    """

    body: bytes
    killed_at: int
    attempts: dict[int, float] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)
    most_at_once: int = 0
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))

    def paced(self, request: BaseHTTPRequestHandler, seen: int) -> None:
        now = time.monotonic()
        attempt = process_of(request.client_address[1])
        worker = next(p for p in attempt.parents() if "pyspark.daemon" in p.cmdline())
        is_first = attempt.pid not in self.attempts
        self.attempts.setdefault(attempt.pid, now)
        self.workers.add(worker.pid)
        if is_first and len(self.attempts) == self.killed_at:
            worker.kill()
        content(self.body)(request, seen)

    def free(self, request: BaseHTTPRequestHandler, seen: int) -> None:
        with self._lock:
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        if not self.attempts:
            # The first to come waits for the other slot's, as long as a download bears it.
            with contextlib.suppress(threading.BrokenBarrierError):
                self._both.wait(10)
            self._both.reset()
        content(self.body)(request, seen)
        with self._lock:
            self._open -= 1


def process_of(port: int) -> psutil.Process:
    """Who connects from a port of this machine."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            process = psutil.Process(connection.pid)
            if process.pid != psutil.Process().pid:
                return process
    raise AssertionError(f"nobody connects from {port}")


def test_a_paced_host_sees_its_gap_and_others_every_slot_also_when_a_worker_is_killed(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=1")
    site = Site(clip.read_bytes(), killed_at=3)
    store = Store(str(tmp_path / "run"))
    with (
        standalone_cluster(tmp_path / "spark") as master,
        answer({"/paced/*": site.paced, "/free/*": site.free}) as server,
    ):
        port = server.address.rpartition(":")[2]
        write_links(
            store,
            # One machine under two names, of which one is paced.
            [f"http://localhost:{port}/free/{number}.mp4" for number in range(6)]
            + [f"http://127.0.0.1:{port}/paced/{number}.mp4" for number in range(5)],
        )
        settings = [
            f"backbone.path={tiny_backbone}",
            f'network.allow=["{server.address}"]',
            f'hosts."127.0.0.1".seconds_between={GAP_S}',
            "chunks.max_links=1",
        ]
        options = [part for setting in settings for part in ("--set", setting)]
        summary = finish("featurize", str(tmp_path / "run"), *options, master=master)
    assert summary["by_outcome"] == {"ok": 11}
    rounds = tables.read_outcomes(store, summary["features"])["round"].to_pylist()
    assert rounds == [0] * 11
    starts = list(site.attempts.values())
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(starts) == 6  # the killed one was made again
    assert len(site.workers) == 2
    assert min(gaps) >= GAP_S, gaps
    assert site.most_at_once == 2


def test_deferred_links_are_taken_by_the_next_run_and_failures_by_retry(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=1").read_bytes()
    busy, works = status(429, Retry_After="0"), content(clip)
    run, store = tmp_path / "run", Store(str(tmp_path / "run"))
    with (
        contextlib.closing(Driver("local[2]", tmp_path)) as driver,
        answer({"/ok.mp4": works, "/busy/*": busy, "/gone.mp4": status(404)}) as server,
    ):
        names = ("ok", "gone", *(f"busy/{number}" for number in range(9)))
        write_links(store, [f"http://{server.address}/{name}.mp4" for name in names])
        options = ["--set", f"backbone.path={tiny_backbone}"]
        options += ["--set", f'network.allow=["{server.address}"]', str(run)]

        refused = driver.featurize([*options, "--retry", "ok"])
        assert refused.code == 2
        assert "One of: connect, decode, " in refused.output
        assert server.requests == []

        assert driver.featurize(options).code == 4
        assert current(store) == {("ok", 0): 1, ("unavailable", 0): 1, ("deferred", 0): 9}
        # Two slots ask at the same time: five attempts, and one more of each.
        throttled = sum(n for path, n in server.requested.items() if path.startswith("/busy/"))
        assert 0 < throttled <= 5 + 2
        server.answers = {"/*": works}
        server.requests.clear()
        summary = driver.featurize([*options, "--retry", "unavailable"]).summary
    assert "/ok.mp4" not in server.requested
    assert (summary["requested"], summary["by_outcome"]) == (10, {"ok": 11})
    assert current(store) == {("ok", 0): 1, ("ok", 1): 10}


def current(store: Store) -> dict[tuple[str, int], int]:
    """Links by their current outcome and its round."""
    outcomes = tables.read_outcomes(store, choose_fingerprint(store, None))
    return Counter(zip(*(outcomes[n].to_pylist() for n in ("outcome", "round")), strict=True))
