"""The resident memory of Spark's Python workers, looked at from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Memory:
    """What workers had.

    Attributes:
        peak_bytes: worker's process id -> the most it had since the watch began (VmHWM).
        samples: (seconds since the watch began, the most that one worker had then).
    """

    peak_bytes: dict[int, int] = field(default_factory=dict)
    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """Of the largest worker."""
        return max(self.peak_bytes.values(), default=0)

    def growth(self) -> float:
        """The last quarter's mean over that of the second: the first fills the caches."""
        sizes = [size for _, size in self.samples]
        quarter = max(1, len(sizes) // 4)
        second, last = sizes[quarter : 2 * quarter] or sizes, sizes[-quarter:]
        return (sum(last) / len(last)) / (sum(second) / len(second))


@contextmanager
def watch_workers(every_s: float = 0.5) -> Iterator[Memory]:
    """Look at all Python workers below this process; Linux alone tells what is asked."""
    for worker in list_workers():
        # "Reset the peak resident set size": proc_pid_clear_refs(5).
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
    memory, done, started = Memory(), threading.Event(), time.monotonic()

    def look() -> None:
        while not done.wait(every_s):
            _look(memory, time.monotonic() - started)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield memory
        _look(memory, time.monotonic() - started)
    finally:
        done.set()
        thread.join()


def _look(memory: Memory, at_s: float) -> None:
    sizes = []
    for worker in list_workers():
        with suppress(OSError, ValueError):  # gone since it was listed
            peak, now = _read_status(worker.pid)
            memory.peak_bytes[worker.pid] = peak
            sizes.append(now)
    if sizes:
        memory.samples.append((round(at_s, 1), max(sizes)))


def list_workers() -> list[psutil.Process]:
    """The daemon's forks, not the daemon; not what they start."""
    children = psutil.Process().children(recursive=True)
    daemons = {process.pid for process in children if _is_daemon(process)}
    found = []
    for process in children:
        with suppress(psutil.Error):
            if process.pid in daemons and process.ppid() in daemons:
                found.append(process)
    return found


def _is_daemon(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any(word.startswith("pyspark.daemon") for word in process.cmdline())
    return False


def _read_status(pid: int) -> tuple[int, int]:
    """The peak and the present size in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(kib["VmHWM"]) * 1024, int(kib["VmRSS"]) * 1024
