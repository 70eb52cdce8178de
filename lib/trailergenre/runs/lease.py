"""A lease on an output: one file that names the job that writes there, kept fresh by a heartbeat.

It only saves requests: two jobs at once would commit the same content-addressed files.
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
from uuid import uuid4

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trailergenre.base.errors import LockedError, StorageError
from trailergenre.base.storage import Store

log = logging.getLogger(__name__)

LEASE_FILE = "_lease.json"

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
def hold_lease(store: Store, stage: str) -> Iterator[None]:
    """Hold the lease on an output for job `stage`, and release it however the block ends.

    A LockedError names another job that holds it, and says what to do.
    """
    own = _new_lease(stage)
    is_new = store.is_local and not store.exists("")
    _refuse_other(store, own)
    _write(store, own)
    time.sleep(_SETTLE_LOCAL_S if store.is_local else _SETTLE_REMOTE_S)
    _refuse_other(store, own)
    released = threading.Event()
    heartbeat = threading.Thread(target=_beat, args=(store, own, released), daemon=True)
    heartbeat.start()
    try:
        yield
    finally:
        released.set()
        heartbeat.join()
        _if_held(store, own, partial(store.delete, LEASE_FILE))
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


def read_lease(store: Store) -> Lease | None:
    """Read the lease on an output; None if no living job holds it."""
    try:
        lease = _read(store)
    except StorageError:
        return None  # released between two calls
    return lease if lease is not None and lease.is_alive else None


def _refuse_other(store: Store, own: Lease) -> None:
    held = _read(store)
    if held is not None and held.token != own.token and held.is_alive:
        raise LockedError(
            f"{store} is being written by another run: {held.describe()}. Wait for it to finish or "
            f"stop it, then run this again. If it is gone for sure, delete {LEASE_FILE} there."
        )


def _beat(store: Store, own: Lease, released: threading.Event) -> None:
    while not released.wait(_HEARTBEAT_S):
        refreshed = own.model_copy(update={"refreshed_at": datetime.now(UTC)})
        _if_held(store, own, partial(_write, store, refreshed))


def _if_held(store: Store, own: Lease, action: Callable[[], None]) -> None:
    """Call `action` if the lease was neither taken over nor deleted by hand."""
    try:
        held = _read(store)
        if held is not None and held.token == own.token:
            action()
    except StorageError as error:  # the lease alone must not end a job
        log.warning("the lease could not be refreshed or released: %s", error)


def _read(store: Store) -> Lease | None:
    """Read the lease file; None if it is absent, or not a lease."""
    if not store.exists(LEASE_FILE):
        return None
    try:
        return Lease.model_validate_json(store.read_bytes(LEASE_FILE))
    except ValidationError:
        return None


def _write(store: Store, lease: Lease) -> None:
    store.write_bytes(LEASE_FILE, (lease.model_dump_json(indent=2) + "\n").encode())


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
