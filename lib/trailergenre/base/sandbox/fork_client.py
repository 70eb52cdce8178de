"""Children with a warm start: forks of a program that was started once for this process.

The server (`server.py`) is started at the first child, again where it is gone, and ends with this
process: it reads a socket whose other end is here. Its forks have the deadline, limits and death of
any other child. Knows nothing of what the children do.
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
from typing import IO, Any

from trailergenre.base.errors import ToolMissingError
from trailergenre.base.sandbox.children import Child, ChildLimits, Deadline, watched

_START_S = 120.0
"""A machine that loads a program for longer than this is no machine to work on."""

_BEGIN_S = 30.0
"""From a fork to its sign takes milliseconds; a directory that hangs would take for ever."""

_END_S = 5.0
"""It ends at once, unless it is loading its program."""

_MAX_ANSWER_BYTES = 64
"""Of an id or an exit code; there is one answer to each request, sent at once."""

# PATH leads to nothing; each fork gets an environment of its own.
_ENVIRONMENT = {"PATH": os.devnull, "HOME": os.devnull, "LANG": "C.UTF-8"}


SERVER_GONE = 256
"""Stands as exit code of a fork whose server ended before it, and took it along."""


class ForkError(Exception):
    """This machine could not give a fork, or not keep it; no fault of what the fork does."""


class _ServerGoneError(Exception):
    """The server does not answer; another may."""


class _Server:
    """The server of one program, asked by one thread at a time."""

    def __init__(self, program: Sequence[str]) -> None:
        """Start it and wait until it is ready."""
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_S)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        with theirs:
            # A session of its own: Ctrl-C is for this process, whose end is the server's.
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
            raise self.cannot_begin() from None

    def fork(self, request: Mapping[str, object], files: Sequence[int]) -> int:
        """The id of a new fork that has these open files.

        Raises:
            ForkError: the machine has no room for another process.
        """
        pid = int(self._ask(request, files))
        if pid < 0:
            raise ForkError(f"no process could be forked: {os.strerror(-pid)}")
        return pid

    def reap(self, pid: int) -> int:
        """How a fork ended that has closed its line; `SERVER_GONE` where nobody knows."""
        try:
            return int(self._ask({"ended": pid}))
        except _ServerGoneError:
            return SERVER_GONE

    def close(self) -> None:
        """End it, and with it all of its forks."""
        self._control.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _ask(self, request: Mapping[str, object], files: Sequence[int] = ()) -> bytes:
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
            # An answer that comes later is none to the next request.
            self._control.close()
            raise _ServerGoneError
        return answer

    def cannot_begin(self) -> ToolMissingError:
        """What is wrong with a server that never forked; ends it."""
        with os.fdopen(os.dup(self._stderr.fileno()), "rb") as stderr:
            self.close()
            stderr.seek(0)
            last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        code = self._process.returncode
        return ToolMissingError(
            f"The program that children are forked from ended with {code} before it could begin: "
            f"{last}. Install the package with all its dependencies on this machine."
        )


class _Fork:
    """A fork, as `subprocess.Popen` shows a process."""

    def __init__(
        self, server: _Server, pid: int, line: socket.socket, pipes: tuple[IO[bytes], IO[bytes]]
    ) -> None:
        self.pid = pid
        self.stdin, self.stdout = pipes
        self.returncode: int | None = None
        self._server = server
        self._line = line

    def poll(self) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self._line.recv(1, socket.MSG_DONTWAIT)
                return self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            # Nothing comes but its end.
            self._line.recv(1)
            self._line.close()
            self.returncode = self._server.reap(self.pid)
        return self.returncode


_servers: dict[tuple[int, tuple[str, ...]], _Server] = {}
"""By the process that may ask them, which a fork of it may not, and their program."""
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
    """Run a fork of a warmed program; whatever happens in the block, its group is gone afterwards.

    Its exit code is `SERVER_GONE` where it ended with its server.

    Args:
        program: arguments of Python behind `-I`; it calls `server.serve`. Its start is not in the
            deadline.
        directory: where the fork works.
        deadline: past it the group is killed, so that reads from the pipe end.
        stderr: an open file.
        env: its whole environment; the one that it shows to others stays its server's.
        limits: what it may use.

    Raises:
        ToolMissingError: the program cannot begin.
        ForkError: it did, and this machine gives no fork of it.
    """
    request = {"env": dict(env), "directory": str(directory), "limits": limits.numbers}
    with deadline.paused():
        process = _start(tuple(program), request, stderr)
    with watched(Child(process, limits), deadline) as child:
        yield child


def stop_servers() -> None:
    """End all servers of this process; the next child starts another."""
    with _lock:
        for key in [key for key in _servers if key[0] == os.getpid()]:
            _servers.pop(key).close()


atexit.register(stop_servers)


# Any: JSON for our own server.
def _start(program: tuple[str, ...], request: Mapping[str, Any], stderr: IO[bytes]) -> _Fork:
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        stdin, to_stdin = _open_pipe(theirs, ours)
        from_stdout, stdout = _open_pipe(ours, theirs)
        line, their_line = socket.socketpair()
        ours.enter_context(line), theirs.enter_context(their_line)
        files = [file.fileno() for file in (stdin, stdout, stderr, their_line)]
        server, pid = _fork(program, request, files)
        # From its sign on it leads a group, which can be ended.
        theirs.close()
        line.settimeout(_BEGIN_S)
        try:
            line.recv(1)
        except TimeoutError:
            server.reap(pid)
            raise ForkError(f"a fork had not begun after {_BEGIN_S:g} s") from None
        line.settimeout(None)
        ours.pop_all()
    return _Fork(server, pid, line, (to_stdin, from_stdout))


def _open_pipe(
    reader: contextlib.ExitStack, writer: contextlib.ExitStack
) -> tuple[IO[bytes], IO[bytes]]:
    read_end, write_end = os.pipe()
    return (
        reader.enter_context(os.fdopen(read_end, "rb")),
        writer.enter_context(os.fdopen(write_end, "wb")),
    )


def _fork(
    program: tuple[str, ...], request: Mapping[str, Any], files: Sequence[int]
) -> tuple[_Server, int]:
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
            raise server.cannot_begin() from None
        _servers[key] = server
        return server, pid
