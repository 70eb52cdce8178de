from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.fs as pafs
import pytest

from other_user import as_another_user, needs_another_user
from trailergenre.base.errors import ForeignFileError, LockedError, StorageError
from trailergenre.base.storage import Store
from trailergenre.runs import lease
from trailergenre.runs.lease import LEASE_FILE, hold_lease, read_leases

HOLDING_JOB = """
import sys, time
import typer
from trailergenre.cli.entry import entry
from trailergenre.runs.lease import hold_lease
from trailergenre.base.storage import Store

app = typer.Typer()

@app.command()
@entry
def hold(address: str) -> None:
    with hold_lease(Store(address), "featurize"):
        print("held", flush=True)
        # A signal just before a sleep does not shorten it.
        for _ in range(600):
            time.sleep(0.1)

app()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"))


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """What looks like an object store and lies on the disk."""
    (tmp_path / "bucket").mkdir()
    monkeypatch.setattr(Store, "_opened", (pafs.LocalFileSystem(), str(tmp_path / "bucket")))
    monkeypatch.setattr(lease, "_SETTLE_REMOTE_S", 0.1)
    return Store("s3://bucket/run")


@pytest.fixture(params=["local", "remote"])
def any_store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue("store" if request.param == "local" else "remote")


def holding_process(store: Store) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING_JOB, str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def write_lease(store: Store, **changes: Any) -> None:
    """A lease of this process, with some of it changed."""
    now = datetime.now(UTC).isoformat()
    own = json.loads(lease._new_lease("featurize").model_dump_json())
    content = {**own, "token": "other", "refreshed_at": now, **changes}
    store.write_bytes(LEASE_FILE, json.dumps(content).encode())


def test_whoever_locks_the_lease_file_holds_nobody_up(store: Store) -> None:
    """As everybody can who may read it."""
    write_lease(store, process_started_at=1.0)
    with store.local_path(LEASE_FILE).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_free(store)


@needs_another_user
@pytest.mark.parametrize(("mode", "is_readable"), [(0o644, True), (0o600, False)])
def test_the_lease_file_of_another_users_killed_job(mode: int, is_readable: bool) -> None:
    """A group shares the directory; pytest's own is closed to it."""
    with tempfile.TemporaryDirectory() as name:
        store = Store(name)
        Path(name).chmod(0o777)
        write_lease(store, process_started_at=1.0)
        store.local_path(LEASE_FILE).chmod(mode)
        said = as_another_user(lambda: [try_to_hold(store)])
    if is_readable:
        assert said == ["held"]
    else:
        assert f"_lease.json below {name} cannot be read" in said[0]
        assert "Permission denied. Every job that writes there reads and replaces" in said[0]


@needs_another_user
def test_a_directory_of_another_user_is_told_in_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        said = as_another_user(lambda: [try_to_hold(Store(name))])
    assert f"_lease.json below {name} cannot be written: [Errno 13] Permission denied" in said[0]
    assert "it needs access to the directory and to that file." in said[0]


def try_to_hold(store: Store) -> str:
    try:
        with hold_lease(store, "featurize"):
            return "held"
    except (LockedError, StorageError) as error:
        return str(error)


def is_free(store: Store) -> bool:
    try:
        with hold_lease(store, "probe"):
            return True
    except LockedError:
        return False


def test_the_lease_is_there_while_it_is_held_and_gone_after(any_store: Store) -> None:
    with hold_lease(any_store, "featurize"):
        held = json.loads(any_store.read_bytes(LEASE_FILE))
        assert len(read_leases(any_store)) == 1
    assert (held["stage"], held["pid"]) == ("featurize", os.getpid())
    assert not any_store.exists(LEASE_FILE)
    assert read_leases(any_store) == []


def test_a_second_job_learns_who_holds_it_and_what_to_do(any_store: Store) -> None:
    with hold_lease(any_store, "featurize"):
        with pytest.raises(LockedError) as refused, hold_lease(any_store, "prepare_dataset"):
            pass
        for part in ("featurize on ", f"process {os.getpid()}", "since 20", "delete _lease.json"):
            assert part in str(refused.value)
        assert refused.value.exit_code == 3
        assert any_store.exists(LEASE_FILE)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_lease_is_released_however_the_job_ends(
    store: Store, error: type[BaseException]
) -> None:
    with pytest.raises(error), hold_lease(store, "featurize"):
        store.write_bytes("x", b"1")
        raise error
    assert [file.path for file in store.list_all_files("")] == ["x"]


def test_a_run_that_wrote_nothing_leaves_no_directory(store: Store, tmp_path: Path) -> None:
    with hold_lease(store, "featurize"):
        pass
    assert not (tmp_path / "run").exists()


def test_of_many_at_the_same_moment_one_holds_it(any_store: Store) -> None:
    """Over the lease file of a dead holder, which each of them may replace."""
    write_lease(any_store, process_started_at=1.0)
    together, done = threading.Barrier(8), threading.Barrier(8)

    def try_it(_: int) -> bool:
        together.wait(30)
        try:
            with hold_lease(any_store, "featurize"):
                done.wait(30)
                return True
        except LockedError:
            done.wait(30)
            return False

    with ThreadPoolExecutor(8) as executor:
        assert sum(executor.map(try_it, range(8))) == 1


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"process_started_at": 1.0}, True),
        ({"pid": 2**22 + 1}, True),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "pid": 2**22 + 1}, False),
        ({"host": "elsewhere", "refreshed_at": "2026-01-01T00:00:00+00:00"}, True),
        ({"refreshed_at": "2026-01-01T00:00:00+00:00"}, False),
        ({"pid": "x"}, True),
        ({"surprise": 1}, True),
    ],
)
def test_who_counts_as_dead(any_store: Store, changes: dict[str, Any], free: bool) -> None:
    write_lease(any_store, **changes)
    assert (read_leases(any_store) == []) == free
    assert is_free(any_store) == free


@pytest.mark.parametrize("content", [b'{"host": ', b'{\n  "ho', b""])
def test_a_truncated_lease_holds_nobody_up(any_store: Store, content: bytes) -> None:
    any_store.write_bytes(LEASE_FILE, content)
    assert is_free(any_store)


@pytest.mark.parametrize("content", [b"mine", b'{"pid": 1}', b"\xff"])
def test_what_is_no_lease_is_not_replaced(any_store: Store, content: bytes) -> None:
    any_store.write_bytes(LEASE_FILE, content)
    with (
        pytest.raises(ForeignFileError, match=r"_lease\.json was not written by trailergenre"),
        hold_lease(any_store, "featurize"),
    ):
        pass
    assert any_store.read_bytes(LEASE_FILE) == content
    assert read_leases(any_store) == []


@pytest.mark.parametrize(
    ("held", "wanted", "free"),
    [
        ("scores", "reports", True),
        ("reports", "scores", True),
        ("scores", "scores", False),
        ("reports", "reports", False),
        ("", "scores", False),
        ("", "reports", False),
        ("scores", "", True),
        ("", "", False),
    ],
)
def test_only_what_writes_the_same_is_excluded(
    any_store: Store, held: Any, wanted: Any, free: bool
) -> None:
    with hold_lease(any_store, "first", of=held):
        try:
            with hold_lease(any_store, "second", of=wanted):
                stages = [lease.stage for lease in read_leases(any_store)]
        except LockedError:
            stages = []
    assert sorted(stages) == (["first", "second"] if free else [])
    assert any_store.list_all_files("") == []


def test_a_killed_holder_does_not_stop_the_next_run(store: Store) -> None:
    with holding_process(store) as process:
        assert not is_free(store)
        process.kill()
        # Before anybody has waited for it: a zombie holds nothing.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert store.exists(LEASE_FILE)
        assert is_free(store)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_job_releases_it(store: Store, number: signal.Signals, code: int) -> None:
    with holding_process(store) as process:
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert not store.exists(LEASE_FILE)


def wait_for(claim: Callable[[], bool]) -> bool:
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while not claim() and datetime.now(UTC) < deadline:
        threading.Event().wait(0.01)
    return claim()


def test_the_holder_sends_heartbeats(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_HEARTBEAT_S", 0.01)
    with hold_lease(any_store, "featurize"):

        def refreshed() -> bool:
            return any(lease.refreshed_at > lease.started_at for lease in read_leases(any_store))

        assert wait_for(refreshed)


def test_unavailable_storage_ends_no_job(
    remote: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("away")

    monkeypatch.setattr(lease, "_HEARTBEAT_S", 0.01)
    with hold_lease(remote, "featurize"):
        monkeypatch.setattr(Store, "write_bytes", fail)
        assert wait_for(lambda: "away" in caplog.text)
        monkeypatch.setattr(Store, "delete", fail)
    assert "away" in caplog.records[-1].message


def test_a_lease_taken_over_is_not_taken_back(store: Store) -> None:
    with hold_lease(store, "featurize"):
        write_lease(store)
        other = store.read_bytes(LEASE_FILE)
    assert store.read_bytes(LEASE_FILE) == other


def test_a_lease_deleted_by_hand_stays_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_HEARTBEAT_S", 0.4)  # none between its beginning and the deletion
    with hold_lease(store, "featurize"):
        store.delete(LEASE_FILE)
        threading.Event().wait(1)
        assert read_leases(store) == []
    assert not store.exists(LEASE_FILE)


def test_of_two_writers_on_an_object_store_the_last_holds_it(
    remote: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one wrote between our look and our reading back."""

    def other_writes(_: float) -> None:
        write_lease(remote, host="elsewhere")

    # Of this module alone: the server of the store runs in this process.
    monkeypatch.setattr(lease, "time", SimpleNamespace(sleep=other_writes))
    with pytest.raises(LockedError, match="elsewhere"), hold_lease(remote, "featurize"):
        pass
    assert [lease.host for lease in read_leases(remote)] == ["elsewhere"]


def test_an_address_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match=r"_lease\.json below .*/file cannot be written"),
        hold_lease(Store(str(tmp_path / "file")), "featurize"),
    ):
        pass
