"""One attempt at a download: one child process, one request, one answer, at most one file.

Files are named by `link_id`, never by a title or a site's id, which the link's author controls.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import trailergenre
from trailergenre.base.config import LimitsConfig, NetworkConfig
from trailergenre.base.errors import ClusterError, ItemError, ToolMissingError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox.children import Child, ChildLimits, Deadline
from trailergenre.base.sandbox.fork_client import SERVER_GONE, ForkError, fork_child
from trailergenre.videos.credentials import list_secrets, redact
from trailergenre.videos.formats import MIN_SIDE_PX

_CPU_S = 120.0
"""Processor seconds of a child; 500 MB over HTTP take 2."""
_FORK_RETRY_S = 1.0
"""Pause before the second try where the machine could not keep a child."""
_MAX_ANSWER_BYTES = 100_000

# -I ignores PYTHON* variables and the working directory, so the package's place, which may be a zip
# from --py-files, is an argument.
_BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv[1])
from trailergenre.videos.formats import MIN_SIDE_PX
from trailergenre.videos.child import main, warm_up
from trailergenre.base.sandbox.fork_server import serve
serve(main, warm_up())
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The settings of an attempt.

    Attributes:
        cookies: content of a cookie file.
        hosts: those with a pace; only the link's own and those in its `leads_to` may be asked.
        side_px: least side of the video.
    """

    network: NetworkConfig
    limits: LimitsConfig
    # Not in repr, so that no log shows them.
    proxy: str | None = field(repr=False)
    cookies: str | None = field(repr=False)
    hosts: Collection[str] = ()
    side_px: int = MIN_SIDE_PX

    def run(self, link: Link, scratch: Path, deadline: Deadline) -> Video:
        """Make one attempt. If this machine does not keep the child, start one more.

        Raises:
            ItemError: the class of the site's answer, with the servers that were contacted.
            ToolMissingError: the child cannot start on this machine.
            ClusterError: this machine does not keep the second child either.
            OSError: the disk is full.
        """
        try:
            return self._run(link, scratch, deadline)
        except ForkError:
            deadline.stopped.wait(_FORK_RETRY_S)
        try:
            return self._run(link, scratch, deadline)
        except ForkError as error:
            raise ClusterError(
                f"This machine ended two download children in a row: {error}. Give it more memory "
                "or fewer task slots, raise its process limit (ulimit -u), and run again: what is "
                "committed stays."
            ) from error

    def _run(self, link: Link, scratch: Path, deadline: Deadline) -> Video:
        with tempfile.TemporaryDirectory(dir=scratch, prefix="attempt-") as name:
            directory = Path(name)
            answer = self._ask(link, directory, deadline)
            connections, asked_at_s = tuple(answer["connections"]), answer["asked_at_s"]
            if number := answer.get("errno"):
                advice = "Free space on this machine, or set TMPDIR to another disk"
                raise OSError(number, f"{os.strerror(number)}. {advice}", str(scratch))
            try:
                if (outcome := Outcome(answer["outcome"])) is not Outcome.OK:
                    raise ItemError(
                        outcome,
                        answer["detail"],
                        retry_after_s=answer["retry_after_s"],
                        leads_to=answer["leads_to"],
                    )
                file = _find_video(directory / "video", self.limits)
            except ItemError as error:
                error.connections, error.asked_at_s = connections, asked_at_s
                raise
            path = file.rename(scratch / f"{link.link_id}{file.suffix}")
        n_bytes = path.stat().st_size
        return Video(path, n_bytes, is_owned=True, connections=connections, asked_at_s=asked_at_s)

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
            "max_requests": self.limits.max_requests,
            "side_px": self.side_px,
            "hosts": list(self.hosts),
            "leads_to": list(link.leads_to),
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
            # If the child is gone already, its exit code says why.
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(request).encode())
                child.stdin.close()
            reach(Point.MID_DOWNLOAD, lambda: _has_bytes(video) or child.process.poll() is not None)
            text = child.stdout.read(_MAX_ANSWER_BYTES)
            self._check_exit(child, stderr, deadline)
        return dict(json.loads(text))

    def child_environment(self, directory: Path) -> dict[str, str]:
        """The whole environment of a child; PATH is an empty directory."""
        return {"PATH": str(directory / "empty"), "HOME": str(directory), "LANG": "C.UTF-8"}

    def child_limits(self) -> ChildLimits:
        """The resources of a child and of the JavaScript runtime that it starts."""
        return ChildLimits(
            cpu_s=_CPU_S,
            file_bytes=self.limits.max_file_bytes,
            memory_bytes=self.limits.max_memory_bytes,
            # deno reserves far more address space than it uses.
            address_space_bytes=None,
            has_network=True,
        )

    def _check_exit(self, child: Child, stderr: IO[bytes], deadline: Deadline) -> None:
        code, used_more = child.process.wait(), "the download used more than"
        if child.is_timed_out:
            detail = f"the download passed the deadline of {deadline.seconds:g} s"
            raise ItemError(Outcome.TIMEOUT, detail)
        if child.is_over_memory:
            memory_bytes = self.limits.max_memory_bytes
            raise ItemError(Outcome.RESOURCE, f"{used_more} {memory_bytes} bytes of memory")
        if code == -signal.SIGXCPU:
            raise ItemError(Outcome.RESOURCE, f"{used_more} {_CPU_S:g} s of processor time")
        if code < 0:
            raise ItemError(Outcome.RESOURCE, f"the download child was ended by signal {-code}")
        if code == SERVER_GONE:
            raise ForkError("the process that they are forked from was ended")
        if code > 0:
            # Errors of yt-dlp are answers; without an answer the machine is at fault.
            stderr.seek(0)
            last_line = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            hidden = list_secrets(proxy=self.proxy, cookies=self.cookies)
            raise ToolMissingError(
                f"The download child could not start (exit code {code}): "
                f"{redact(last_line, hidden)}. Install the package with all its dependencies "
                "(yt-dlp, deno) on this machine."
            )


def _has_bytes(directory: Path) -> bool:
    return any(entry.stat().st_size for entry in directory.iterdir())


def _find_video(directory: Path, limits: LimitsConfig) -> Path:
    """The one regular file of a finished download."""
    entries = list(directory.iterdir())
    files = [entry for entry in entries if entry.is_file() and not entry.is_symlink()]
    if len(files) != len(entries):
        raise ItemError(Outcome.PATH, "the download left something that is not a regular file")
    if len(files) != 1 or files[0].stat().st_size == 0:
        raise ItemError(Outcome.NO_FILE, f"the download ended with {len(files)} usable files")
    if files[0].stat().st_size > limits.max_file_bytes:
        raise ItemError(Outcome.TOO_LARGE, f"larger than {limits.max_file_bytes} bytes")
    return files[0]
