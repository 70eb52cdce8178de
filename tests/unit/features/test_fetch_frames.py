from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from lists import as_links
from trailergenre.base.config import ChunksConfig, Config
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.features import fetch_frames
from trailergenre.features.fetch_frames import FetchedLink, fetch_links, prefetch
from trailergenre.features.settings import stream_settings
from trailergenre.videos.downloader import Downloader

BOUND_S = 60
"""On a hang; nothing here waits for it."""

LINKS = as_links(f"https://example.org/{number}.mp4" for number in range(10))

Download = Callable[[int, Deadline], None]
"""Stands in for a download: number of the link, and its deadline."""


def fetch(
    monkeypatch: pytest.MonkeyPatch,
    download: Download,
    links: Iterator[Link],
    *,
    ahead: int = 8,
    slow_s: float = 60,
) -> Generator[FetchedLink]:
    """Fetch links whose downloads leave no video, `ahead` of them open at most."""

    def fetched(
        self: Downloader, link: Link, scratch: Path, deadline: Deadline, _: object
    ) -> Video:
        download(LINKS.index(link), deadline)
        raise ItemError(Outcome.NO_FILE, "none")

    monkeypatch.setattr(Downloader, "fetch", fetched)
    monkeypatch.setattr(fetch_frames, "SLOW_S", slow_s)
    config = Config(chunks=ChunksConfig(max_links=2 * ahead if ahead >= 4 else ahead))
    return fetch_links(links, stream_settings(config, FORM))


def numbers(fetched: Iterator[FetchedLink]) -> list[int]:
    return [LINKS.index(link.link) for link in fetched]


def test_downloads_that_end_soon_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    running: set[int] = set()
    together: list[int] = []

    def download(number: int, deadline: Deadline) -> None:
        running.add(number)
        time.sleep(0.2)
        together.append(len(running))
        running.discard(number)

    assert numbers(fetch(monkeypatch, download, iter(LINKS[:3]))) == [0, 1, 2]
    assert set(together) == {1}


def test_a_download_that_hangs_keeps_no_other_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def download(number: int, deadline: Deadline) -> None:
        if number == 0:
            assert release.wait(BOUND_S)
        elif number == 9:
            release.set()

    received = numbers(fetch(monkeypatch, download, iter(LINKS), slow_s=0.01))
    assert received[:8] == list(range(1, 9))
    assert sorted(received) == list(range(10))


def test_no_more_links_are_begun_than_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Link] = []

    def source() -> Iterator[Link]:
        for link in LINKS:
            taken.append(link)
            yield link

    fetched = fetch(monkeypatch, lambda *_: None, source(), ahead=3)
    next(fetched)
    time.sleep(0.3)
    assert len(taken) == 3
    next(fetched)
    time.sleep(0.3)
    assert len(taken) == 4
    fetched.close()


def test_no_more_downloads_run_at_once_than_may_however_slow_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running: set[int] = set()
    together: list[int] = []

    def download(number: int, deadline: Deadline) -> None:
        running.add(number)
        together.append(len(running))
        time.sleep(0.3)
        running.discard(number)

    monkeypatch.setattr(fetch_frames, "_MAX_DOWNLOADS", 2)
    fetched = fetch(monkeypatch, download, iter(LINKS[:6]), slow_s=0.01)
    assert sorted(numbers(fetched)) == list(range(6))
    assert max(together) == 2


def test_a_fault_of_the_run_ends_the_other_downloads_and_comes_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()

    def download(number: int, deadline: Deadline) -> None:
        if number == 1:
            raise OSError("disk full")
        assert deadline.stopped.wait(BOUND_S)
        ended.set()

    with pytest.raises(OSError, match="disk full"):
        numbers(fetch(monkeypatch, download, iter(LINKS[:3]), slow_s=0.01))
    assert ended.is_set()


def test_a_fault_in_the_list_of_links_comes_out_after_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def source() -> Iterator[Link]:
        yield LINKS[0]
        raise ValueError("cannot be listed")

    fetched = fetch(monkeypatch, lambda *_: None, source())
    assert next(fetched).row.outcome is Outcome.NO_FILE
    with pytest.raises(ValueError, match="cannot be listed"):
        next(fetched)


def test_leaving_early_ends_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    started, ended = threading.Event(), threading.Event()

    def download(number: int, deadline: Deadline) -> None:
        if number:
            started.set()
            assert deadline.stopped.wait(BOUND_S)
            ended.set()

    fetched = fetch(monkeypatch, download, iter(LINKS[:2]))
    assert next(fetched).link == LINKS[0]
    assert started.wait(BOUND_S)
    fetched.close()
    assert ended.is_set()


def test_a_link_has_all_its_time_when_its_download_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_s = []
    fetched = fetch(
        monkeypatch, lambda _, deadline: left_s.append(deadline.left_s), iter(LINKS[:2])
    )
    next(fetched)
    time.sleep(0.3)
    numbers(fetched)
    assert min(left_s) > Config().limits.deadline_s - 0.2


def test_prefetched_values_come_in_order() -> None:
    assert list(prefetch((n for n in range(50)), 2, stop=lambda: None)) == list(range(50))


def test_error_of_a_prefetched_generator_comes_out_after_its_values() -> None:
    def source() -> Generator[int]:
        yield 1
        raise OSError("disk full")

    received = []
    with pytest.raises(OSError, match="disk full"):
        for value in prefetch(source(), 4, stop=lambda: None):
            received.append(value)
    assert received == [1]


def test_closing_a_prefetch_closes_its_generator_soon() -> None:
    closed = []

    def source() -> Generator[int]:
        try:
            for n in range(1_000_000):
                yield n
        finally:
            closed.append(n)

    values = prefetch(source(), 2, stop=lambda: None)
    assert next(values) == 0
    values.close()
    assert closed
    assert closed[0] < 10
