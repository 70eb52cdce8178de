from __future__ import annotations

import io
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from runs import Movie, make_movies, make_run, outcome_row
from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import format_age, format_duration
from trailergenre.base.records import LinkId
from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs import schemas, tables
from trailergenre.runs import status as status_module
from trailergenre.runs.status import RunStatus, Watch, read_status

START = datetime(2026, 1, 1, tzinfo=UTC)


def moments(*seconds: float) -> list[datetime]:
    return [START + timedelta(seconds=s) for s in seconds]


def status(ready: int, by_outcome: dict[str, int], links_per_s: float | None = None) -> RunStatus:
    return RunStatus(ready, by_outcome, 0, ["full"], links_per_s, None)


@pytest.mark.parametrize(
    ("finished_at", "since", "links_per_s"),
    [
        ([], None, None),
        ([], 0, None),
        ([0], None, None),
        ([5, 5, 5], None, None),
        ([0, 9.9], None, None),
        ([0, 0, 20, 20], None, 2 / 20),
        ([20, 20], 0, 2 / 20),
        ([0, 0, 1000, 1300, 1300], None, 3 / 600),
        ([0, 0, 1000, 1020], 990, 2 / 30),
        ([0, 20], 100, None),
    ],
    ids=[
        "no commit",
        "no commit of a session",
        "one commit",
        "one moment",
        "too short a time",
        "the first commit starts the clock",
        "a known start counts the first commit",
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
    assert state.line() == "4/10 links (4 ok), 0 frames"


def test_line_says_rate_and_end_before_the_outcomes() -> None:
    line = status(70, {"ok": 9, "partial": 1}, links_per_s=0.5).line()
    assert line == "10/70 links, 30.0 links/min, ETA 2:00 (9 ok, 1 partial), 0 frames"


def test_nothing_finished_is_said() -> None:
    assert status(3, {}).line() == "0/3 links (none), 0 frames"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0, "0:00"), (59.6, "1:00"), (3599.9, "1:00:00"), (90061, "25:01:01")],
)
def test_seconds_as_a_person_says_them(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(86000, "23:53:20"), (90061 + 86400, "2.0 days")])
def test_an_age_of_more_than_a_day_is_told_in_days(seconds: float, text: str) -> None:
    assert format_age(datetime.now(UTC) - timedelta(seconds=seconds)) == text


def ids(movies: list[Movie]) -> list[LinkId]:
    return [movie.link.link_id for movie in movies]


def test_status_is_read_from_the_committed_outcomes(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(4, frames=3)
    fingerprint = make_run(store, [*movies[:3], Movie(movies[3].link, None)])
    state = read_status(store, fingerprint, [*ids(movies), LinkId("e"), LinkId("f")])
    assert (state.ready, state.finished, state.without_outcome) == (6, 4, 2)
    assert (state.frames, state.last_commit_at) == (9, START)
    assert list(state.by_outcome.items()) == [("ok", 3), ("not_media", 1)]
    assert state.links_per_s is None


def test_deferred_links_make_no_rate(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(1, frames=3)
    fingerprint = make_run(store, movies)
    ready, since = [*ids(movies), LinkId("later")], START - timedelta(seconds=20)
    before = read_status(store, fingerprint, ready, since=since)
    deferred = outcome_row("later", Outcome.DEFERRED)
    content = tables.to_parquet(pa.Table.from_pylist([deferred], schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{fingerprint}", content, ".parquet")
    after = read_status(store, fingerprint, ready, since=since)
    assert (after.finished, after.by_outcome) == (1, {"ok": 1, "deferred": 1})
    assert after.links_per_s == before.links_per_s == 1 / 20


def test_outcomes_of_links_that_left_the_list_do_not_count(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(3, frames=3)
    fingerprint = make_run(store, movies)
    state = read_status(store, fingerprint, ids(movies[:1]))
    assert state.line() == "1/1 links (1 ok), 3 frames"
    # Two new links: the old outcomes do not stand for theirs.
    state = read_status(store, fingerprint, [LinkId("new"), LinkId("newer")])
    assert (state.line(), state.without_outcome) == ("0/2 links (none), 0 frames", 2)


def test_status_before_the_first_commit(tmp_path: Path) -> None:
    state = read_status(Store(str(tmp_path)), "fp", [LinkId("a")])
    assert (state.finished, state.frames, state.last_commit_at, state.eta_s) == (0, 0, None, None)


Run = tuple[Store, str, list[LinkId]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two finished links."""
    store, movies = Store(str(tmp_path / "run")), make_movies(2, frames=3)
    return store, make_run(store, movies), ids(movies)


@pytest.mark.parametrize("silent_s", [1000.0, 0.0], ids=["just told", "silent for long"])
def test_a_pipe_gets_plain_lines(
    silent_s: float, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "_PLAIN_EVERY_S", 0.01)
    monkeypatch.setattr(status_module, "_SILENT_S", silent_s)
    written, polled = io.StringIO(), threading.Event()
    polls = iter(range(1000))

    class Counting(Watch):
        def _look(self) -> tuple[RunStatus, str] | None:
            if next(polls) == 5:
                polled.set()
            return super()._look()

    watch = Counting(*run, console=Console(file=written, width=40, soft_wrap=True))
    assert watch.run(lambda: 7 if polled.wait(30) else 0, stop=lambda: None) == 7
    texts = [line.split("] ", 1)[1] for line in written.getvalue().splitlines()]
    assert set(texts) == {"2/2 links (2 ok), 6 frames"}
    # However often it looked: one line while nothing changed, and one at the end.
    assert len(texts) == 2 if silent_s else len(texts) > 5
    assert "\x1b" not in written.getvalue()


def shown_on_a_terminal(watch: Watch, width: int) -> list[str]:
    """The lines that stand on the terminal in the end."""
    written = io.StringIO()
    watch.console = Console(file=written, force_terminal=True, width=width, color_system=None)
    assert watch.run(lambda: 7, stop=lambda: None) == 7
    drawn = re.split(r"\x1b\[2K", written.getvalue())[-1]  # from here on the last picture
    return [line.rstrip() for line in re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", drawn).splitlines()]


SIX = {"ok": 81234, "connect": 812, "not_media": 17, "partial": 1203, "too_long": 5, "dns": 66}


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_terminal_gets_bar_and_end_whatever_became_of_the_links(
    width: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = RunStatus(100000, SIX, 12345678, ["full"], 0.5, None)
    monkeypatch.setattr(status_module, "read_status", lambda *_, **__: state)
    watch = Watch(run[0], run[1], ["link"] * 100000)
    lines = shown_on_a_terminal(watch, width)
    assert re.search(r"━━━━━━━━+.* +83337/100000 30\.0 links/min, ETA 9:15:26 0:00:0\d", lines[0])
    text = " ".join(" ".join(lines).split())
    assert [name for name in SIX if name in text] == ([*SIX] if width >= 120 else [])
    assert max(map(len, lines)) <= width


def test_a_wide_terminal_says_what_became_of_the_links(run: Run) -> None:
    (line,) = shown_on_a_terminal(Watch(*run), 120)
    assert "2/2" in line
    assert "(2 ok), 6 frames" in line


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_counts_the_links_whose_frames_are_kept(width: int, run: Run) -> None:
    (line,) = shown_on_a_terminal(Watch(*run, count_kept=lambda: 5), width)
    assert "━━━━" in line
    assert "frames of 5 links kept" in line


def test_a_pipe_counts_the_links_whose_frames_are_kept(run: Run) -> None:
    written = io.StringIO()
    Watch(*run, console=Console(file=written, width=120), count_kept=lambda: 5).run(
        lambda: 7, stop=lambda: None
    )
    assert "2/2 links (2 ok), 6 frames; frames of 5 links kept" in written.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_storage_that_does_not_answer_a_look_stops_no_work(
    is_terminal: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "_PLAIN_EVERY_S", 0.01)
    monkeypatch.setattr(status_module, "_POLL_S", 0.01)
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
    written, stopped = io.StringIO(), []
    console = Console(file=written, force_terminal=is_terminal, width=120)
    work = Watch(*run, console=console).run
    assert work(lambda: answered.wait(30), stop=lambda: stopped.append(1)) is True
    assert "(2 ok), 6 frames" in written.getvalue()
    assert stopped == []


def test_a_file_is_read_by_one_look_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "_PLAIN_EVERY_S", 0.01)
    looks, looked_often = [], threading.Event()
    read_outcomes = tables.read_outcomes

    def look(*arguments: object) -> pa.Table:
        looks.append(1)
        if len(looks) == 3:
            looked_often.set()
        return read_outcomes(*arguments)

    opened = []
    open_input = Store.open_input
    monkeypatch.setattr(tables, "read_outcomes", look)
    monkeypatch.setattr(
        Store, "open_input", lambda store, path: opened.append(path) or open_input(store, path)
    )
    watch = Watch(*run, console=Console(file=io.StringIO()))
    assert watch.run(lambda: looked_often.wait(30), stop=lambda: None)
    assert len(opened) == len(set(opened)) == 1


def test_error_of_the_work_comes_out_and_is_not_stopped(run: Run) -> None:
    stopped = []

    def fail() -> int:
        raise ValueError("task failed")

    watch = Watch(*run, console=Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="task failed"):
        watch.run(fail, stop=lambda: stopped.append(1))
    assert stopped == []


def test_interruption_stops_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(status_module, "_is_done", interrupt)
    watch = Watch(*run, console=Console(file=io.StringIO()))
    with pytest.raises(KeyboardInterrupt):
        watch.run(lambda: int(stopped.wait(30)), stop=stopped.set)
    assert stopped.is_set()
