from __future__ import annotations

from collections.abc import Callable

import pytest

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.videos import limits as watching
from trailergenre.videos.limits import MIN_BYTES_PER_S, RATE_WINDOW_S, DownloadLimits


@pytest.fixture
def watch() -> DownloadLimits:
    return DownloadLimits(max_file_bytes=1_000_000, max_duration_s=60)


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass."""
    now = [1000.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def block(done: int, *, name: str = "video.mp4", **more: object) -> dict[str, object]:
    return {"status": "downloading", "filename": name, "downloaded_bytes": done, **more}


def stopped(watch: DownloadLimits, progress: dict[str, object]) -> Outcome:
    with pytest.raises(ItemError) as raised:
        watch.count(progress)
    assert watch.reason is raised.value
    return raised.value.outcome


@pytest.mark.parametrize(
    ("info", "outcome"),
    [
        ({"duration": 61}, Outcome.TOO_LONG),
        ({"is_live": True}, Outcome.LIVE),
        ({"live_status": "is_live"}, Outcome.LIVE),
        ({"live_status": "is_upcoming"}, Outcome.LIVE),
        ({"playlist_index": 1}, Outcome.NOT_A_SINGLE_VIDEO),
    ],
)
def test_what_is_not_downloaded(
    watch: DownloadLimits, info: dict[str, object], outcome: Outcome
) -> None:
    assert watch.filter(info, incomplete=False)
    assert watch.reason is not None
    assert watch.reason.outcome is outcome


@pytest.mark.parametrize("info", [{}, {"duration": 60}, {"live_status": "was_live"}])
def test_what_is_downloaded(watch: DownloadLimits, info: dict[str, object]) -> None:
    assert watch.filter(info, incomplete=False) is None
    assert watch.reason is None


def test_bytes_end_at_the_limit(watch: DownloadLimits) -> None:
    watch.count(block(1_000_000))
    assert stopped(watch, block(1_000_001)) is Outcome.TOO_LARGE


def test_bytes_of_all_files_count_together(watch: DownloadLimits) -> None:
    watch.count(block(600_000))
    watch.count(block(400_000, name="sound.m4a"))
    assert stopped(watch, block(400_001, name="sound.m4a")) is Outcome.TOO_LARGE


def test_a_file_that_begins_again_counts_once(watch: DownloadLimits) -> None:
    watch.count(block(900_000))
    watch.count(block(100))
    watch.count(block(950_000))
    assert watch.reason is None


def test_announced_size_ends_it_at_the_first_block(watch: DownloadLimits) -> None:
    assert stopped(watch, block(1024, total_bytes=1_000_001)) is Outcome.TOO_LARGE


def test_an_estimate_is_not_believed(watch: DownloadLimits) -> None:
    watch.count(block(1024, total_bytes_estimate=9_000_000.0))
    assert watch.reason is None


def test_too_slow_for_a_whole_window_is_stalled(
    watch: DownloadLimits, wait: Callable[[float], None]
) -> None:
    watch.count(block(0))
    wait(RATE_WINDOW_S - 1)
    watch.count(block(1000))
    wait(1)
    assert stopped(watch, block(2000)) is Outcome.STALLED


def test_fast_enough_goes_on(watch: DownloadLimits, wait: Callable[[float], None]) -> None:
    done = 0
    for _ in range(3):
        watch.count(block(done))
        wait(RATE_WINDOW_S)
        done += int(MIN_BYTES_PER_S * RATE_WINDOW_S)
    watch.count(block(done))
    assert watch.reason is None


def test_a_fast_beginning_is_no_excuse(
    watch: DownloadLimits, wait: Callable[[float], None]
) -> None:
    watch.count(block(0))
    wait(RATE_WINDOW_S)
    watch.count(block(900_000))
    wait(RATE_WINDOW_S)
    assert stopped(watch, block(900_100)) is Outcome.STALLED


def test_what_is_finished_was_not_too_slow(
    watch: DownloadLimits, wait: Callable[[float], None]
) -> None:
    watch.count(block(0))
    wait(10 * RATE_WINDOW_S)
    watch.count({**block(100), "status": "finished"})
    assert watch.reason is None
