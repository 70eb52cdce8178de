"""Children that start fast: forks of a program that is loaded once per process.

The server (`fork_server.py`) starts with the first child, is restarted if it dies, and ends with
this process. Its forks have the deadline, limits and lifetime of any other child.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from trailergenre.base.errors import ToolMissingError
from trailergenre.base.sandbox.children import Child, ChildLimits, Deadline, Fork, watched

_START_S = 120.0  # to load the program
_BEGIN_S = 30.0  # from a fork to its first sign, which normally takes milliseconds
_END_S = 5.0
_MAX_ANSWER_BYTES = 64
# PATH leads nowhere; each fork gets its own environment.
_ENVIRONMENT = {"PATH": os.devnull, "HOME": os.devnull, "LANG": "C.UTF-8"}

SERVER_GONE = 256
"""Exit code of a fork whose server died first, which ends the fork too."""

Request = Mapping[str, object]
"""A message to the server, as JSON."""


class ForkError(Exception):
    """This machine cannot create a fork, or lost it; not the fault of the fork's program."""


class _ServerGoneError(Exception):
    """The server does not answer."""


class _Server:
    """The server of one program. One thread at a time talks to it."""

    def __init__(self, program: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_S)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        with theirs:
            # In its own session, so that Ctrl-C reaches only this process, whose end ends it.
            self._process = subprocess.Popen(
                [sys.executable, "-I", *program],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        try:
            self._answer()
        except _ServerGoneError:
            raise self.start_error() from None

    def fork(self, request: Request, files: Sequence[int]) -> int:
        """Create a fork that has these open files, and return its process id."""
        pid = int(self._ask(request, files))
        if pid < 0:
            raise ForkError(f"no process could be forked: {os.strerror(-pid)}")
        return pid

    def reap(self, pid: int) -> int:
        """Return the exit code of a fork that has closed its line."""
        try:
            return int(self._ask({"ended": pid}))
        except _ServerGoneError:
            return SERVER_GONE

    def close(self) -> None:
        """End the server and all of its forks."""
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _ask(self, request: Request, files: Sequence[int] = ()) -> bytes:
        with self._lock:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], files)
            except OSError as error:
                raise _ServerGoneError from error
            return self._answer()

    def _answer(self) -> bytes:
        try:
            answer = self._control.recv(_MAX_ANSWER_BYTES)
        except OSError:
            answer = b""
        if not answer:
            # A late answer must not be taken for that of the next request.
            self._control.close()
            raise _ServerGoneError
        return answer

    def start_error(self) -> ToolMissingError:
        """End a server that never forked, and say why it failed."""
        with os.fdopen(os.dup(self._stderr.fileno()), "rb") as stderr:
            self.close()
            stderr.seek(0)
            last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        return ToolMissingError(
            "The program that child processes are forked from ended with "
            f"{self._process.returncode} before it was ready: {last}.",
            "Install the package with all its dependencies on this machine.",
        )


_servers: dict[tuple[int, tuple[str, ...]], _Server] = {}
"""By process id and program: a fork of this process must not use its servers."""
_lock = threading.Lock()


@contextlib.contextmanager
def fork_child(
    program: Sequence[str],
    *,
    directory: Path,
    deadline: Deadline,
    stderr: IO[bytes],
    env: Mapping[str, str],
    limits: ChildLimits,
) -> Iterator[Child]:
    """Run a fork of a loaded program as `start_child` does a program.

    `program` is Python's arguments after `-I`; it calls `fork_server.serve`. Loading it does not
    count towards the deadline. The exit code is `SERVER_GONE` if the server died. A ForkError means
    that the machine cannot create the fork.
    """
    request = {"env": dict(env), "directory": str(directory), "limits": limits.numbers}
    with deadline.paused():
        process = _start(tuple(program), request, stderr)
    with watched(Child(process, limits), deadline) as child:
        yield child


def stop_servers() -> None:
    """End all servers of this process; the next child starts a new one."""
    with _lock:
        for key in list(_servers):
            if key[0] == os.getpid():
                _servers.pop(key).close()


atexit.register(stop_servers)


def _start(program: tuple[str, ...], request: Request, stderr: IO[bytes]) -> Fork:
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        stdin, to_stdin = _open_pipe(theirs, ours)
        from_stdout, stdout = _open_pipe(ours, theirs)
        line, their_line = socket.socketpair()
        ours.enter_context(line), theirs.enter_context(their_line)
        files = [file.fileno() for file in (stdin, stdout, stderr, their_line)]
        server, pid = _fork(program, request, files)
        theirs.close()
        # After its first sign, the fork leads a process group, which can be killed.
        line.settimeout(_BEGIN_S)
        try:
            line.recv(1)
        except TimeoutError:
            server.reap(pid)
            raise ForkError(f"a fork had not begun after {_BEGIN_S:g} s") from None
        line.settimeout(None)
        ours.pop_all()
    return Fork(pid, line, (to_stdin, from_stdout), reap=server.reap)


def _open_pipe(
    reader: contextlib.ExitStack, writer: contextlib.ExitStack
) -> tuple[IO[bytes], IO[bytes]]:
    read_end, write_end = os.pipe()
    return (
        reader.enter_context(os.fdopen(read_end, "rb")),
        writer.enter_context(os.fdopen(write_end, "wb")),
    )


def _fork(program: tuple[str, ...], request: Request, files: Sequence[int]) -> tuple[_Server, int]:
    """Fork from the program's server; start the server first if needed."""
    key = (os.getpid(), program)
    with _lock:
        if key in _servers:
            try:
                return _servers[key], _servers[key].fork(request, files)
            except _ServerGoneError:
                _servers.pop(key).close()
        server = _Server(program)
        try:
            pid = server.fork(request, files)
        except _ServerGoneError:
            raise server.start_error() from None
        _servers[key] = server
        return server, pid
