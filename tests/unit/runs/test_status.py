from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pytest
from rich.console import Console

from runs import Movie, make_movies, make_run, outcome_row
from trailergenre.base import progress
from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import LinkId
from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs import status as status_module
from trailergenre.runs.status import STATUS_COLUMNS, RunStatus, read_status, run_with_progress

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)


def moments(*seconds: float) -> pa.ChunkedArray:
    times = [START + timedelta(seconds=s) for s in seconds]
    return pa.chunked_array([times], schemas.OUTCOMES.field("finished_at").type)


def status(ready: int, by_outcome: dict[str, int], links_per_s: float | None = None) -> RunStatus:
    return RunStatus(ready, by_outcome, 0, ["full"], links_per_s, None)


@pytest.mark.parametrize(
    ("finished_at", "since", "links_per_s"),
    [
        ([], 0, None),
        ([0, 0, 20, 20], None, None),
        ([0, 9.9], 0, None),
        ([20, 20], 0, 2 / 20),
        ([0, 0, 1000, 1300, 1300], 0, 3 / 600),
        ([0, 0, 1000, 1020], 990, 2 / 30),
        ([0, 20], 100, None),
    ],
    ids=[
        "no commit of a session",
        "no session",
        "too short a time",
        "the first commit counts",
        "only the last ten minutes",
        "only the present session",
        "nothing in the present session",
    ],
)
def test_rate(finished_at: list[float], since: float | None, links_per_s: float | None) -> None:
    start = None if since is None else START + timedelta(seconds=since)
    assert status_module._rate(moments(*finished_at), start) == pytest.approx(links_per_s)


def test_deferred_links_are_not_finished_and_count_for_the_end() -> None:
    state = status(10, {"ok": 4, "unavailable": 1, "deferred": 2}, links_per_s=0.5)
    assert (state.finished, state.eta_s) == (5, 10.0)


def test_without_a_rate_no_end_is_told() -> None:
    state = status(10, {"ok": 4})
    assert state.eta_s is None
    assert state.line() == "4 ok, 0 failed of 10 links; 0 frames"


def test_line_says_rate_and_end_before_the_outcomes() -> None:
    line = status(70, {"ok": 9, "partial": 1}, links_per_s=0.5).line()
    assert line == "9 ok, 1 failed of 70 links, 30.0/min, ETA 2:00; 0 frames, 1 partial"


def test_nothing_finished_is_said() -> None:
    assert status(3, {}).line() == "0 ok, 0 failed of 3 links; 0 frames"


def ids(movies: list[Movie]) -> list[LinkId]:
    return [movie.link.link_id for movie in movies]


def look(
    store: Store, fingerprint: str, ready: list[LinkId], *, since: datetime | None = None
) -> RunStatus:
    outcomes = outcomes_table.OutcomesReader(store, fingerprint, STATUS_COLUMNS)
    return read_status(outcomes, ready, since=since)


def test_status_is_read_from_the_committed_outcomes(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(4, frames=3)
    fingerprint = make_run(store, [*movies[:3], Movie(movies[3].link, None)])
    state = look(store, fingerprint, [*ids(movies), LinkId("e"), LinkId("f")])
    assert (state.ready, state.finished, state.without_outcome) == (6, 4, 2)
    assert (state.frames, state.last_commit_at) == (9, START)
    assert list(state.by_outcome.items()) == [("ok", 3), ("not_media", 1)]
    assert state.links_per_s is None


def test_deferred_links_make_no_rate(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(1, frames=3)
    fingerprint = make_run(store, movies)
    ready, since = [*ids(movies), LinkId("later")], START - timedelta(seconds=20)
    before = look(store, fingerprint, ready, since=since)
    deferred = outcome_row("later", Outcome.DEFERRED)
    content = tables.to_parquet(pa.Table.from_pylist([deferred], schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{fingerprint}", content, ".parquet")
    after = look(store, fingerprint, ready, since=since)
    assert (after.finished, after.by_outcome) == (1, {"ok": 1, "deferred": 1})
    assert after.links_per_s == before.links_per_s == 1 / 20


def test_outcomes_of_links_that_left_the_list_do_not_count(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(3, frames=3)
    fingerprint = make_run(store, movies)
    state = look(store, fingerprint, ids(movies[:1]))
    assert state.line() == "1 ok, 0 failed of 1 links; 3 frames"
    # Two new links: the old outcomes do not stand for theirs.
    state = look(store, fingerprint, [LinkId("new"), LinkId("newer")])
    assert (state.line(), state.without_outcome) == ("0 ok, 0 failed of 2 links; 0 frames", 2)


def test_status_before_the_first_commit(tmp_path: Path) -> None:
    state = look(Store(str(tmp_path)), "fp", [LinkId("a")])
    assert (state.finished, state.frames, state.last_commit_at, state.eta_s) == (0, 0, None, None)


Run = tuple[Store, str, list[LinkId]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two finished links."""
    store, movies = Store(str(tmp_path / "run")), make_movies(2, frames=3)
    return store, make_run(store, movies), ids(movies)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., io.StringIO]:
    """Gives progress a terminal or a pipe, and looks at the run often."""
    monkeypatch.setattr(status_module, "_TERMINAL_POLL_S", 0.01)
    monkeypatch.setattr(status_module, "_PIPE_POLL_S", 0.01)

    def draw(*, is_terminal: bool, width: int = 120) -> io.StringIO:
        written = io.StringIO()
        console = Console(
            file=written, force_terminal=is_terminal, width=width, color_system=None, soft_wrap=True
        )
        monkeypatch.setattr(progress, "open_console", lambda: console)
        return written

    return draw


def work_on(run: Run, work: Callable[[], T], stop: Callable[[], None] = bool, **more: Any) -> T:
    store, fingerprint, ready = run
    outcomes = outcomes_table.OutcomesReader(store, fingerprint, STATUS_COLUMNS)
    return run_with_progress(work, stop, outcomes=outcomes, ready=ready, **more)


def test_a_pipe_gets_plain_lines(run: Run, drawn: Callable[..., io.StringIO]) -> None:
    written = drawn(is_terminal=False, width=40)
    assert work_on(run, lambda: 7) == 7
    (line,) = written.getvalue().splitlines()
    assert line.split("] ", 1)[1] == "2 ok, 0 failed of 2 links 6 frames"
    assert "\x1b" not in line


def shown_on_a_terminal(run: Run, written: io.StringIO, **more: Any) -> list[str]:
    """The lines that stand on the terminal at the end."""
    assert work_on(run, lambda: 7, **more) == 7
    last = re.split(r"\x1b\[2K", written.getvalue())[-1]  # from here on the last picture
    return [line.rstrip() for line in re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", last).splitlines()]


SIX = {"ok": 81234, "connect": 812, "not_media": 17, "partial": 1203, "too_long": 5, "dns": 66}


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_terminal_gets_bar_and_end_whatever_became_of_the_links(
    width: int,
    run: Run,
    drawn: Callable[..., io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = RunStatus(100000, SIX, 12345678, ["full"], 0.5, None)
    monkeypatch.setattr(status_module, "read_status", lambda *_, **__: state)
    lines = shown_on_a_terminal(run, drawn(is_terminal=True, width=width))
    assert re.search(
        r"━━━━+.* 81234 ok, 2103 failed of 100000 links, 30\.0/min, ETA 9:15:26 0:00:0\d",
        lines[0],
    )
    text = " ".join(" ".join(lines).split())
    assert [name for name in SIX if name in text] == ([*SIX] if width >= 120 else ["ok"])
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_counts_the_links_whose_frames_are_kept(
    width: int, run: Run, drawn: Callable[..., io.StringIO]
) -> None:
    written = drawn(is_terminal=True, width=width)
    (line,) = shown_on_a_terminal(run, written, list_kept=lambda: "abcde")
    assert "━━━━" in line
    assert "2 ok, 0 failed of 2 links, frames of 5 links kept" in line
    assert ("6 frames" in line) == (width >= 120)


def test_a_pipe_counts_the_links_whose_frames_are_kept(
    run: Run, drawn: Callable[..., io.StringIO]
) -> None:
    written = drawn(is_terminal=False)
    work_on(run, lambda: 7, list_kept=lambda: "abcde")
    assert "2 ok, 0 failed of 2 links, frames of 5 links kept 6 frames" in written.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_storage_that_does_not_answer_a_look_stops_no_work(
    is_terminal: bool,
    run: Run,
    drawn: Callable[..., io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    answers = iter([StorageError("no route"), StorageError("no route"), None])
    list_files = Store.list_files

    def list_or_fail(store: Store, path: str) -> list[StoredFile]:
        error = next(answers, None)
        if error is not None:
            raise error
        answered.set()
        return list_files(store, path)

    monkeypatch.setattr(Store, "list_files", list_or_fail)
    written, stopped = drawn(is_terminal=is_terminal), []
    assert work_on(run, lambda: answered.wait(30), stop=lambda: stopped.append(1)) is True
    assert "2 ok, 0 failed" in written.getvalue()
    assert stopped == []


def test_a_file_is_read_by_one_look_only(
    run: Run, drawn: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(is_terminal=False)
    looks, looked_often = [], threading.Event()
    current = outcomes_table.OutcomesReader.current

    def look(reader: outcomes_table.OutcomesReader) -> pa.Table:
        looks.append(1)
        if len(looks) == 3:
            looked_often.set()
        return current(reader)

    opened = []
    open_input = Store.open_input
    monkeypatch.setattr(outcomes_table.OutcomesReader, "current", look)
    monkeypatch.setattr(
        Store, "open_input", lambda store, path: opened.append(path) or open_input(store, path)
    )
    assert work_on(run, lambda: looked_often.wait(30))
    assert len(opened) == len(set(opened)) == 1


def test_error_of_the_work_comes_out_and_is_not_stopped(run: Run) -> None:
    stopped = []

    def fail() -> int:
        raise ValueError("task failed")

    with pytest.raises(ValueError, match="task failed"):
        work_on(run, fail, stop=lambda: stopped.append(1))
    assert stopped == []


def test_interruption_stops_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status_module, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        work_on(run, lambda: int(stopped.wait(30)), stop=stopped.set)
    assert stopped.is_set()
