"""One attempt at a download: one child process, one request, one answer, at most one file.

Whatever happens, the attempt's directory is gone afterwards, with all that the child left there.
Files are named by `link_id`, never by a title or by the site's own id, which the link's author
can choose.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import trailergenre
from trailergenre.base.config import LimitsConfig, NetworkConfig
from trailergenre.base.errors import ClusterError, ItemError, ToolMissingError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox import (
    SERVER_GONE,
    Child,
    ChildLimits,
    Deadline,
    ForkError,
    fork_child,
)
from trailergenre.videos.redaction import scrub, secrets_of

_CPU_S = 120.0
"""Processor seconds of a child: 500 MB over HTTP cost it 2, so that only bombs come near."""

_PAUSE_S = 1.0
"""Before a machine that gave no child is asked for another."""

_MAX_ANSWER_BYTES = 100_000

# -I ignores PYTHON* variables and the working directory, so the package's own place is handed on;
# it may be a zip that came with --py-files.
_BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv[1])
from trailergenre.videos.child import main, warm_up
from trailergenre.base.sandbox.fork_server import serve
serve(main, warm_up())
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt needs to know besides its link.

    Attributes:
        network: what may be reached besides public addresses, and who gets the cookies.
        limits: bounds of one link.
        proxy: address that everything is fetched through, with its password.
        cookies: content of a cookie file.
    """

    network: NetworkConfig
    limits: LimitsConfig
    # No log may show them by accident.
    proxy: str | None = field(repr=False)
    cookies: str | None = field(repr=False)

    def run(self, link: Link, scratch: Path, deadline: Deadline) -> Video:
        """Make one attempt; the child makes one `extract_info` call.

        A child that this machine did not keep to its end says nothing of the link: another is
        started, once.

        Raises:
            ItemError: with the class of the site's answer, and the servers that were spoken to.
            ToolMissingError: the child cannot begin on this machine.
            ClusterError: this machine keeps no child.
            OSError: the disk is full, which is no fault of the link's.
        """
        try:
            return self._run(link, scratch, deadline)
        except ForkError:
            deadline.stopped.wait(_PAUSE_S)
        try:
            return self._run(link, scratch, deadline)
        except ForkError as error:
            raise ClusterError(
                f"This machine ended two children in a row that download one link: {error}. Give "
                "it more memory or fewer task slots, raise its limit of processes (ulimit -u), and "
                "run again: what is committed stays."
            ) from error

    def _run(self, link: Link, scratch: Path, deadline: Deadline) -> Video:
        with tempfile.TemporaryDirectory(dir=scratch, prefix="attempt-") as name:
            directory = Path(name)
            answer = self._ask(link, directory, deadline)
            connections = tuple(answer["connections"])
            if "errno" in answer:
                raise _disk_error(answer["errno"], scratch)
            try:
                _check_answer(answer)
                found = _only_file(directory / "video", self.limits)
            except ItemError as error:
                error.connections, error.asked_at_s = connections, answer["asked_at_s"]
                raise
            # Out of the attempt's directory, which goes with its leftovers.
            path = found.rename(scratch / f"{link.link_id}{found.suffix}")
        return Video(
            path,
            path.stat().st_size,
            is_owned=True,
            connections=connections,
            asked_at_s=answer["asked_at_s"],
        )

    # Any: JSON of our own child.
    def _ask(self, link: Link, directory: Path, deadline: Deadline) -> dict[str, Any]:
        video, empty = directory / "video", directory / "empty"
        video.mkdir()
        empty.mkdir()
        request = {
            "url": link.url,
            "directory": str(video),
            "empty": str(empty),
            "name": link.link_id,
            "max_file_bytes": self.limits.max_file_bytes,
            "max_duration_s": self.limits.max_duration_s,
            "allow": list(self.network.allow),
            "proxy": self.proxy,
            "cookies": self.cookies,
            "cookie_sites": list(self.network.cookie_sites),
        }
        package_home = str(Path(trailergenre.__file__).parents[1])
        with (
            tempfile.TemporaryFile(dir=directory) as stderr,
            fork_child(
                ["-c", _BOOTSTRAP, package_home],
                directory=directory,
                deadline=deadline,
                stderr=stderr,
                env=self.child_environment(directory),
                limits=self.child_limits(),
            ) as child,
        ):
            # A child that is gone already is judged by its exit code.
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(request).encode())
                child.stdin.close()
            reach(Point.MID_DOWNLOAD, lambda: _has_bytes(video) or child.process.poll() is not None)
            text = child.stdout.read(_MAX_ANSWER_BYTES)
            self._check_end(child, stderr, deadline)
        return dict(json.loads(text))

    def child_environment(self, directory: Path) -> dict[str, str]:
        """The whole environment of a child; PATH leads to nothing."""
        return {"PATH": str(directory / "empty"), "HOME": str(directory), "LANG": "C.UTF-8"}

    def child_limits(self) -> ChildLimits:
        """What a child, with the JavaScript runtime that it starts, may use."""
        return ChildLimits(
            cpu_s=_CPU_S,
            file_bytes=self.limits.max_file_bytes,
            memory_bytes=self.limits.max_memory_bytes,
            # deno reserves far more addresses than it uses, and dies where it may not.
            address_space_bytes=None,
            has_network=True,
        )

    def _check_end(self, child: Child, stderr: IO[bytes], deadline: Deadline) -> None:
        code = child.process.wait()
        if child.is_timed_out:
            raise ItemError(
                Outcome.TIMEOUT, f"the download passed the deadline of {deadline.seconds:g} s"
            )
        if child.is_over_memory:
            raise ItemError(
                Outcome.RESOURCE,
                f"the download took more than {self.limits.max_memory_bytes} bytes of memory",
            )
        if code == SERVER_GONE:
            raise ForkError("the process that they are forked from was ended")
        if code == -signal.SIGXCPU:
            raise ItemError(
                Outcome.RESOURCE, f"the download took more than {_CPU_S:g} s of processor time"
            )
        if code < 0:
            raise ItemError(Outcome.RESOURCE, f"the download child was ended by signal {-code}")
        if code > 0:
            # Whatever a link does to yt-dlp is an answer; no answer is a fault of this machine.
            stderr.seek(0)
            last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            hidden = secrets_of(proxy=self.proxy, cookies=self.cookies)
            raise ToolMissingError(
                f"The download child ended with {code} before it could begin: "
                f"{scrub(last, hidden)}. "
                "Install the package with all its dependencies (yt-dlp, deno) on this machine."
            )


def _check_answer(answer: Mapping[str, object]) -> None:
    if answer["outcome"] != Outcome.OK:
        asked_s = answer["retry_after_s"]
        raise ItemError(
            Outcome(str(answer["outcome"])),
            str(answer["detail"]),
            retry_after_s=float(asked_s) if isinstance(asked_s, int | float) else None,
        )


def _disk_error(number: int, scratch: Path) -> OSError:
    what = f"{os.strerror(number)}. Make room on this machine, or set TMPDIR to where there is"
    return OSError(number, what, str(scratch))


def _has_bytes(directory: Path) -> bool:
    return any(entry.stat().st_size for entry in directory.iterdir())


def _only_file(directory: Path, limits: LimitsConfig) -> Path:
    """The one regular file of a finished download; the downloader's own word is not enough."""
    entries = list(directory.iterdir())
    files = [entry for entry in entries if entry.is_file() and not entry.is_symlink()]
    if len(files) != len(entries):
        raise ItemError(Outcome.PATH, "the download left something that is not a regular file")
    if len(files) != 1 or files[0].stat().st_size == 0:
        raise ItemError(Outcome.NO_FILE, f"the download ended with {len(files)} usable files")
    if files[0].stat().st_size > limits.max_file_bytes:
        raise ItemError(Outcome.TOO_LARGE, f"larger than {limits.max_file_bytes} bytes")
    return files[0]
