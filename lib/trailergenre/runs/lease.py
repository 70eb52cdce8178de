"""One run at a time on one output: a small file at the address that says who writes there.

It saves requests alone. Correctness never rests on it: two runs at once would commit the same
content-addressed files.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trailergenre.base.errors import LockedError, StorageError
from trailergenre.base.storage import Store

log = logging.getLogger(__name__)

LEASE_FILE = "_lock.json"

_REFRESH_S = 60.0
_STALE_AFTER = timedelta(minutes=10)
"""Ten refreshes missed: a holder on another machine counts as dead."""
_SETTLE_S = 2.0
"""An object store has no exclusive write: so long after its own, the last writer reads itself."""
_SAME_START_S = 2.0
"""The kernel's clock and the wall clock, between which a process' start is converted, drift."""


class Lease(BaseModel):
    """Who writes at an address.

    Attributes:
        host: the machine's name, with the process namespace, in which alone `pid` has a meaning.
        pid: the process.
        process_started_at: seconds since the epoch; another process may get a dead one's number.
        stage: the job.
        started_at: UTC.
        refreshed_at: UTC; the last sign of life.
        token: random; tells the holder its own file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    pid: int
    process_started_at: float
    stage: str
    started_at: AwareDatetime
    refreshed_at: AwareDatetime
    token: str

    @property
    def is_alive(self) -> bool:
        """Whether the holder may still write."""
        if self.host == _host():
            return _is_running(self.pid, self.process_started_at)
        return datetime.now(UTC) - self.refreshed_at < _STALE_AFTER

    def describe(self) -> str:
        """Who it is, for a person."""
        machine = self.host.partition(" ")[0]
        return (
            f"{self.stage} on {machine} (process {self.pid}) since "
            f"{self.started_at:%Y-%m-%d %H:%M} UTC, last sign of life {self.refreshed_at:%H:%M} UTC"
        )


@contextlib.contextmanager
def hold_lease(store: Store, stage: str) -> Iterator[None]:
    """Hold the address; given up at the end, whatever the end is.

    Args:
        store: the output.
        stage: the job, for whoever is refused.

    Raises:
        LockedError: another run holds it; says which, and what to do.
        StorageError: the address cannot be written.
    """
    own = _own(stage)
    files = _LocalFile(store) if store.is_local else _RemoteFile(store)
    is_new = store.is_local and not store.local_path("").exists()
    files.update(lambda found: _take(own, found, store))
    is_over = threading.Event()
    thread = threading.Thread(target=_keep_alive, args=(files, own, is_over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        _quietly(lambda: files.update(lambda found: None if _is_own(own, found) else found))
        if is_new:
            with contextlib.suppress(OSError):  # not empty: the run wrote something
                store.local_path("").rmdir()


def read_lease(store: Store) -> Lease | None:
    """Who holds the address; None where nobody alive does."""
    if not store.exists(LEASE_FILE):
        return None
    try:
        holder = _parse(store.read_bytes(LEASE_FILE))
    except StorageError:
        return None  # just given up
    return holder if holder is not None and holder.is_alive else None


def _own(stage: str) -> Lease:
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


def _host() -> str:
    try:
        # Machines may share a name, and containers on one have process numbers of their own.
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


def _take(own: Lease, found: Lease | None, store: Store) -> Lease:
    if found is not None and found.token != own.token and found.is_alive:
        raise LockedError(
            f"{store} is being written by another run: {found.describe()}. Wait for its end or "
            f"stop it, then run this again. Where it is surely gone, delete {LEASE_FILE} there."
        )
    return own


def _is_own(own: Lease, found: Lease | None) -> bool:
    return found is not None and found.token == own.token


def _keep_alive(files: _LocalFile | _RemoteFile, own: Lease, is_over: threading.Event) -> None:
    def refreshed(found: Lease | None) -> Lease | None:
        if not _is_own(own, found):
            return found  # taken for dead by another run, or deleted by hand
        return own.model_copy(update={"refreshed_at": datetime.now(UTC)})

    while not is_over.wait(_REFRESH_S):
        _quietly(lambda: files.update(refreshed))


def _quietly(action: Callable[[], None]) -> None:
    """Let no storage that is away for a moment end a run for its lock's sake."""
    try:
        action()
    except StorageError as error:
        log.warning("the lock could not be refreshed or given up: %s", error)


Change = Callable[[Lease | None], Lease | None]
"""From what the file says to what it shall say; None is no file."""


@dataclass(frozen=True)
class _LocalFile:
    """The file on a disk, also a shared one: read and changed by one process at a time."""

    store: Store

    def update(self, change: Change) -> None:
        """Read, change and write as one step; a file that is left empty is deleted."""
        path = self.store.local_path(LEASE_FILE)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _open_alone(path) as file:
                found = _parse(os.pread(file, 1 << 16, 0))
                wanted = change(found)
                if wanted is None:
                    path.unlink()
                elif wanted != found:
                    content = _to_json(wanted)
                    os.pwrite(file, content, 0)
                    os.ftruncate(file, len(content))
                    os.fsync(file)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error}") from error


@contextlib.contextmanager
def _open_alone(path: Path) -> Iterator[int]:
    """Open or make the file, and let nobody else who opens it so read or change it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            # Some mounted file systems know no locks; two runs that start at the same moment may
            # then both begin, which costs requests.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                yield file
                return
        finally:
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file is the one at its path still; its holder may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class _RemoteFile:
    """The file on an object store, where the last writer wins."""

    store: Store

    def update(self, change: Change) -> None:
        """Read, change, write; where the file changes hands, look whose it became."""
        found = self._read()
        wanted = change(found)
        if wanted is None:
            self.store.delete(LEASE_FILE)
        elif wanted != found:
            self.store.write_bytes(LEASE_FILE, _to_json(wanted))
            if not _is_own(wanted, found):
                time.sleep(_SETTLE_S)
                change(self._read())

    def _read(self) -> Lease | None:
        if not self.store.exists(LEASE_FILE):
            return None
        return _parse(self.store.read_bytes(LEASE_FILE))


def _to_json(holder: Lease) -> bytes:
    return (holder.model_dump_json(indent=2) + "\n").encode()


def _parse(content: bytes) -> Lease | None:
    """What the file says; None where it is empty or broken: its writer was killed at it."""
    try:
        return Lease.model_validate_json(content)
    except ValidationError:
        return None
