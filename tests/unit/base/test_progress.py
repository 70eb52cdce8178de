from __future__ import annotations

import io
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from trailergenre.base import progress
from trailergenre.base.progress import format_age, format_duration, progress_bar
from trailergenre.base.terminal import EscapedConsole


class Written(io.StringIO):
    """What was written, line by line, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.has_line = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if "\n" in text:
            self.has_line.set()
        return written

    def texts(self) -> list[str]:
        """The lines without the time in front."""
        return [line.split("] ", 1)[1] for line in self.getvalue().splitlines()]


def give_console(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> Written:
    written = Written()
    console = EscapedConsole(file=written, force_terminal=is_terminal, width=120)
    monkeypatch.setattr(progress, "open_console", lambda: console)
    return written


def test_in_a_pipe_what_is_short_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    written = give_console(monkeypatch, is_terminal=False)
    with progress_bar("verify", unit="frames") as report:
        report(5, 5)
    assert written.getvalue() == ""


def test_in_a_pipe_what_is_long_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_S", 0.05)
    written = give_console(monkeypatch, is_terminal=False)
    with progress_bar("verify", unit="frames") as report:
        report(3, 8)
        assert written.has_line.wait(30)
    assert set(written.texts()) == {"verify: 3/8 frames"}
    assert "\x1b" not in written.getvalue()


def test_in_a_pipe_a_step_that_tells_nothing_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_S", 0.05)
    written = give_console(monkeypatch, is_terminal=False)
    with progress_bar("exporting"):
        assert written.has_line.wait(30)
    assert set(written.texts()) == {"exporting"}


def test_in_a_pipe_every_step_is_a_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = give_console(monkeypatch, is_terminal=False)
    with progress_bar("training") as report:
        report(1, 2, "Drama [bold]\n\x1b[2J")
        report(2, 2, "Horror (7)")
    assert written.texts() == [r"training: 1/2 Drama [bold]\n\u001b[2J", "training: 2/2 Horror (7)"]


def test_what_was_just_told_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_S", 1000)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    written = give_console(monkeypatch, is_terminal=False)
    display = progress.ProgressDisplay("training")
    clock[0] = 999.0
    display.update(1, 2, "training", at_once=True)
    # The wait that began before that ends now.
    clock[0] = 1000.0
    over = iter([False, True])
    monkeypatch.setattr(display._closed, "wait", lambda _: next(over))
    display._break_silence()
    assert written.texts() == ["training"]


def test_on_a_terminal_a_bar_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    written = give_console(monkeypatch, is_terminal=True)
    with progress_bar("verify", unit="frames") as report:
        report(5, 8)
    with progress_bar("training") as tell:
        tell(1, 2, "Drama [bold]")
    assert "verify: 5/8 frames" in written.getvalue()
    assert "training: 1/2 Drama [bold]" in written.getvalue()
    assert "\x1b" in written.getvalue()


def test_nothing_is_told_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_S", 0.02)
    written = give_console(monkeypatch, is_terminal=False)
    with pytest.raises(ValueError, match="broken"), progress_bar("training"):
        assert written.has_line.wait(30)
        raise ValueError("broken")
    before = written.getvalue()
    time.sleep(0.1)
    assert written.getvalue() == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (3599.9, "1:00:00"), (90061, "25:01:01")],
)
def test_seconds_as_a_person_says_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(86000, "23:53:20"), (90061 + 86400, "2.0 days")])
def test_an_age_of_more_than_a_day_is_told_in_days(seconds: float, text: str) -> None:
    assert format_age(datetime.now(UTC) - timedelta(seconds=seconds)) == text
