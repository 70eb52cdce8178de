"""A lease on an output: one file that names the job that writes there, kept fresh by a heartbeat.

    _lease.json             the lists, outcomes and features of a run; or a bundle
    _lease-scores.json      the table of scores
    _lease-reports.json     evaluations

On features it only saves requests: two jobs at once would commit the same content-addressed files.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import uuid4

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trailergenre.base.errors import ForeignFileError, LockedError, StorageError
from trailergenre.base.storage import Store

log = logging.getLogger(__name__)

LEASE_FILE = "_lease.json"
_LEASE_FILES = {"": LEASE_FILE, "scores": "_lease-scores.json", "reports": "_lease-reports.json"}

_BEGINNING = b'{"host":'
"""Of every lease, without white space."""

_HEARTBEAT_S = 60.0
_EXPIRES_AFTER = timedelta(minutes=10)
_SETTLE_LOCAL_S, _SETTLE_REMOTE_S = 0.1, 2.0
"""No store has an exclusive write. Of jobs that start together, the last writer wins; each reads
the file again after this time to see who that was."""
_SAME_START_S = 2.0  # the kernel's clock and the wall clock drift


class Lease(BaseModel):
    """What the lease file says about its holder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str  # machine and process namespace, in which `pid` has a meaning
    pid: int
    process_started_at: float  # seconds since the epoch; a later process may get the same id
    stage: str  # the job
    started_at: AwareDatetime
    refreshed_at: AwareDatetime  # the last heartbeat
    token: str  # random, by which the holder recognizes its own lease

    @property
    def is_alive(self) -> bool:
        """Whether the holder may still write."""
        if self.host == _host():
            return _is_running(self.pid, self.process_started_at)
        return datetime.now(UTC) - self.refreshed_at < _EXPIRES_AFTER

    def describe(self) -> str:
        """Describe the holder in one line."""
        return (
            f"{self.stage} on {self.host.split()[0]} (process {self.pid}) since "
            f"{self.started_at:%Y-%m-%d %H:%M} UTC, last heartbeat {self.refreshed_at:%H:%M} UTC"
        )


@contextlib.contextmanager
def hold_lease(
    store: Store, stage: str, *, of: Literal["", "scores", "reports"] = ""
) -> Iterator[None]:
    """Hold the lease on an output for job `stage`, and release it however the block ends.

    Scores and reports are of a run's features: while another job writes those, their leases are
    refused. Nothing else excludes them.

    Raises:
        LockedError: names another job that holds the lease, and says what to do.
        ForeignFileError: a file in the lease's place is none.
    """
    own, file = _new_lease(stage), _LEASE_FILES[of]
    is_new = store.is_local and not store.exists("")
    try:
        _refuse_other(store, LEASE_FILE, own)
        _refuse_other(store, file, own)
        _write(store, file, own)
        time.sleep(_SETTLE_LOCAL_S if store.is_local else _SETTLE_REMOTE_S)
        _refuse_other(store, file, own)
    except StorageError as error:
        raise StorageError(
            f"{error}.",
            f"Every job that writes there reads and replaces {file}, also one that the job of "
            "another user left: it needs access to the directory and to that file.",
        ) from error
    released = threading.Event()
    heartbeat = threading.Thread(target=_beat, args=(store, file, own, released), daemon=True)
    heartbeat.start()
    try:
        yield
    finally:
        released.set()
        heartbeat.join()
        _if_held(store, file, own, partial(store.delete, file))
        if is_new:
            with contextlib.suppress(OSError):  # not empty: the job wrote something
                store.local_path("").rmdir()


def _new_lease(stage: str) -> Lease:
    process, now = psutil.Process(), datetime.now(UTC)
    return Lease(
        host=_host(),
        pid=process.pid,
        process_started_at=process.create_time(),
        stage=stage,
        started_at=now,
        refreshed_at=now,
        token=uuid4().hex,
    )


def read_leases(store: Store) -> list[Lease]:
    """Read the leases of living jobs on an output; that on features first."""
    leases = []
    for file in _LEASE_FILES.values():
        try:
            lease = _read(store, file)
        except (StorageError, ForeignFileError):
            continue  # released between two calls; or nobody's
        if lease is not None and lease.is_alive:
            leases.append(lease)
    return leases


def _refuse_other(store: Store, file: str, own: Lease) -> None:
    held = _read(store, file)
    if held is not None and held.token != own.token and held.is_alive:
        raise LockedError(
            f"{store} is being written by another run: {held.describe()}. Wait for it to finish or "
            f"stop it, then run this again. If it is gone for sure, delete {file} there."
        )


def _beat(store: Store, file: str, own: Lease, released: threading.Event) -> None:
    while not released.wait(_HEARTBEAT_S):
        refreshed = own.model_copy(update={"refreshed_at": datetime.now(UTC)})
        _if_held(store, file, own, partial(_write, store, file, refreshed))


def _if_held(store: Store, file: str, own: Lease, action: Callable[[], None]) -> None:
    """Call `action` if the lease was neither taken over nor deleted by hand."""
    try:
        held = _read(store, file)
        if held is not None and held.token == own.token:
            action()
    except (StorageError, ForeignFileError) as error:  # the lease alone must not end a job
        log.warning("the lease could not be refreshed or released: %s", error)


def _read(store: Store, file: str) -> Lease | None:
    """Read a lease file; None if it is absent, or was left unfinished."""
    if not store.exists(file):
        return None
    content = store.read_bytes(file)
    try:
        return Lease.model_validate_json(content)
    except ValidationError as error:
        # Not every store writes a file whole or not at all.
        if _BEGINNING.startswith(b"".join(content[:40].split())[: len(_BEGINNING)]):
            return None
        raise ForeignFileError(store.child(file), "give another address") from error


def _write(store: Store, file: str, lease: Lease) -> None:
    store.write_bytes(file, (lease.model_dump_json(indent=2) + "\n").encode())


def _host() -> str:
    try:
        # Machines may share a name, and each container numbers its processes anew.
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot_id} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _is_running(pid: int, started_at: float) -> bool:
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - started_at) <= _SAME_START_S
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
