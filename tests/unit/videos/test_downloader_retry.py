"""Retries, with simulated attempts."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lists import as_links
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError, ToolMissingError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos.attempt import Attempt
from trailergenre.videos.downloader import BACKOFF_BASE_S, Downloader
from trailergenre.videos.pacing import Pacer

(LINK,) = as_links(["https://example.org/x.mp4"])
End = Video | ItemError | ToolMissingError


def video(*connections: str) -> Video:
    return Video(Path("x.mp4"), 1, is_owned=True, connections=connections)


def failed(outcome: Outcome, *connections: str, asked_s: float | None = None) -> ItemError:
    error = ItemError(outcome, "the site's own words", retry_after_s=asked_s)
    error.connections = connections
    return error


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[End]:
    """Results of the attempts, in order: the test fills the list and the attempts empty it."""
    ends: list[End] = []

    def run(self: Attempt, link: Link, scratch: Path, deadline: Deadline) -> Video:
        end = ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(Attempt, "run", run)
    return ends


class NotingPacer(Pacer):
    """Records its calls; may refuse the first."""

    def __init__(self, refusal: ItemError | None = None) -> None:
        self.notes: list[object] = []
        self.refusal = refusal

    def wait(self, link: Link, deadline: Deadline) -> None:
        self.notes.append("wait")
        if self.refusal is not None:
            raise self.refusal

    def record(self, link: Link, result: Video | ItemError) -> None:
        self.notes.append(result)


def downloader(*, backoff_s: float = 0.001, n_attempts: int = 3) -> Downloader:
    limits = LimitsConfig(attempts=n_attempts)
    return Downloader(LinksConfig(), NetworkConfig(), limits, backoff_s=backoff_s)


def failure(deadline: Deadline, *, pacer: NotingPacer | None = None, **more: float) -> ItemError:
    with pytest.raises(ItemError) as raised:
        downloader(**more).fetch(LINK, Path("scratch"), deadline, pacer)
    return raised.value


def test_what_may_pass_is_tried_until_it_does(attempts: list[End]) -> None:
    attempts += [failed(Outcome.HTTP_5XX), failed(Outcome.STALLED), video()]
    assert downloader().fetch(LINK, Path("scratch"), Deadline(60)) == (video(), 3)


def test_attempts_end(attempts: list[End]) -> None:
    attempts += [failed(Outcome.CONNECT), failed(Outcome.HTTP_5XX), video()]
    error = failure(Deadline(60), n_attempts=2)
    assert (error.outcome, error.attempts) == (Outcome.HTTP_5XX, 2)
    assert error.detail == "the site's own words"


@pytest.mark.parametrize("outcome", [o for o in Outcome if not o.is_retryable])
def test_what_will_not_pass_is_tried_once(outcome: Outcome, attempts: list[End]) -> None:
    attempts += [failed(outcome), video()]
    error = failure(Deadline(60))
    assert (error.outcome, error.attempts, len(attempts)) == (outcome, 1, 1)


def test_a_fault_of_the_machine_is_not_tried_again(attempts: list[End]) -> None:
    attempts += [ToolMissingError("no yt-dlp"), video()]
    pacer = NotingPacer()
    with pytest.raises(ToolMissingError):
        downloader().fetch(LINK, Path("scratch"), Deadline(60), pacer)
    assert pacer.notes == ["wait"]


def test_the_servers_of_all_attempts_are_handed_on(attempts: list[End]) -> None:
    attempts += [failed(Outcome.STALLED, "a:80", "b:80"), video("b:80", "c:443")]
    found, _ = downloader().fetch(LINK, Path("scratch"), Deadline(60))
    assert found.connections == ("a:80", "b:80", "c:443")
    attempts += [failed(Outcome.STALLED, "a:80"), failed(Outcome.UNAVAILABLE, "b:80")]
    assert failure(Deadline(60)).connections == ("a:80", "b:80")


def test_the_servers_own_wait_is_kept(attempts: list[End]) -> None:
    attempts += [failed(Outcome.THROTTLED, asked_s=0.3), video()]
    began = time.monotonic()
    _, n_attempts = downloader().fetch(LINK, Path("scratch"), Deadline(60))
    assert (n_attempts, time.monotonic() - began >= 0.3) == (2, True)


def test_a_wait_that_the_deadline_would_not_outlast_is_not_begun(attempts: list[End]) -> None:
    attempts += [failed(Outcome.THROTTLED, asked_s=100), video()]
    error = failure(Deadline(60))
    assert (error.outcome, error.attempts) == (Outcome.THROTTLED, 1)


def test_waiting_ends_at_once_where_the_work_is_stopped(attempts: list[End]) -> None:
    attempts += [failed(Outcome.THROTTLED, asked_s=50), failed(Outcome.THROTTLED, asked_s=50)]
    stopped = threading.Event()
    threading.Timer(0.1, stopped.set).start()
    began = time.monotonic()
    failure(Deadline(200, stopped))
    assert time.monotonic() - began < 40


def test_own_waits_grow_and_are_random(
    attempts: list[End], monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[tuple[float, float]] = []

    def lowest(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    monkeypatch.setattr("trailergenre.videos.downloader.random.uniform", lowest)
    attempts += [failed(Outcome.DNS)] * 10
    failure(Deadline(60), n_attempts=10, backoff_s=BACKOFF_BASE_S)
    assert bounds[:9] == [(0, high) for high in (2, 4, 8, 16, 32, 60, 60, 60, 60)]


def test_pacer_is_asked_before_and_told_after_every_attempt(attempts: list[End]) -> None:
    pacer, first = NotingPacer(), failed(Outcome.STALLED)
    attempts += [first, video()]
    downloader().fetch(LINK, Path("scratch"), Deadline(60), pacer)
    assert pacer.notes == ["wait", first, "wait", video()]


def test_a_link_that_must_not_be_asked_for_is_not_tried(attempts: list[End]) -> None:
    attempts += [video()]
    pacer = NotingPacer(ItemError(Outcome.THROTTLED, "its host throttles"))
    error = failure(Deadline(60), pacer=pacer)
    assert (error.outcome, error.attempts, len(attempts)) == (Outcome.THROTTLED, 0, 1)
    assert pacer.notes == ["wait"]


def test_time_that_the_pacer_takes_is_not_the_links(
    attempts: list[End], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class SlowPacer(NotingPacer):
        def wait(self, link: Link, deadline: Deadline) -> None:
            with deadline.paused():
                now[0] += 1000

    attempts += [failed(Outcome.STALLED), video()]
    _, n_attempts = downloader().fetch(LINK, Path("scratch"), Deadline(60), SlowPacer())
    assert n_attempts == 2


def test_local_file_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "my clip.mp4"
    path.write_bytes(b"x")
    (link,) = as_links([path.as_uri()])
    local = Downloader(LinksConfig(allowed_roots=(str(tmp_path),)), NetworkConfig(), LimitsConfig())
    assert local.fetch(link, tmp_path, Deadline(9)) == (Video(path, 1, is_owned=False), 1)


@pytest.mark.parametrize(
    ("name", "outcome"), [("/etc/passwd", Outcome.SCHEME), ("none.mp4", Outcome.PATH)]
)
def test_local_file_that_is_not_used(name: str, outcome: Outcome, tmp_path: Path) -> None:
    (link,) = as_links([(tmp_path / name).as_uri()])
    local = Downloader(LinksConfig(allowed_roots=(str(tmp_path),)), NetworkConfig(), LimitsConfig())
    with pytest.raises(ItemError) as raised:
        local.fetch(link, tmp_path, Deadline(9))
    assert raised.value.outcome is outcome
