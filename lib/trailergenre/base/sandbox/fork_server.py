"""A program that has been warmed up once -> a fork of it for every request of the worker.

Runs in a process of its own, which `forks.py` starts, with its end of a socket as standard input.
Single-threaded, so that it may fork. It is told limits, environments and open files, and neither
links nor secrets: those reach a fork by its own standard input. Knows nothing of the program.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from trailergenre.base.sandbox.launcher import bind

_READY = b"ready\n"
"""The first answer, to nobody's request."""
_MAX_REQUEST_BYTES = 65536

_LINE = 3
"""A fork's own end of the pair of sockets by which the worker sees it begin and end."""
_N_FILES = _LINE + 1
"""Files that come with a request: standard input, output, error, and the line."""
_MAX_FILES = 1024
"""More than this program has ever open."""
_END = object()

_STEP_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What others' code comes to where one step of a warm-up meets what it did not expect."""


def serve(run: Callable[[], None], warm_up: Iterator[None]) -> NoReturn:
    """Fork for every request, until the worker has closed its end or is gone.

    Args:
        run: what a fork does; it ends with 0 afterwards, or as Python does with an error.
        warm_up: what makes forks cheaper, in short steps; taken while nobody asks for one. A step
            that fails is the last one.
    """
    control = socket.socket(fileno=0)
    control.sendall(_READY)
    living: set[int] = set()
    while True:
        _use_time(control, warm_up)
        request, files = _receive(control)
        if request is None:
            break
        if "ended" in request:
            living.remove(request["ended"])
            control.sendall(b"%d\n" % _reap(request["ended"]))
            continue
        server_pid, pid = os.getpid(), _fork()
        if pid == 0:
            control.detach()
            _become_child(request, files, server_pid)
            run()
            sys.stdout.flush()
            sys.stderr.flush()
            # Taking all the modules down would cost as much as the work.
            os._exit(0)
        if pid > 0:
            living.add(pid)
        for file in files:
            os.close(file)
        control.sendall(b"%d\n" % pid)
    for pid in living:
        _kill(pid)
    os._exit(0)


def _use_time(control: socket.socket, warm_up: Iterator[None]) -> None:
    """Warm up until somebody asks, or all is warm."""
    # Forks are only dearer without it.
    with contextlib.suppress(*_STEP_ERRORS):
        while not select.select([control], [], [], 0)[0]:
            if next(warm_up, _END) is _END:
                return


def _fork() -> int:
    """As `os.fork`; a number below 0 is the error's, where the machine has no room for another."""
    try:
        return os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)


def _receive(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A request (JSON of our own worker) and its files; None where the worker has gone."""
    try:
        text, files, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, _N_FILES)
    except ConnectionError:
        return None, []
    return (json.loads(text) if text else None), files


def _become_child(request: dict[str, Any], files: list[int], server_pid: int) -> None:
    """Leave everything of the server behind but what it has loaded."""
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number, inheritable=number != _LINE)
    os.closerange(_N_FILES, _MAX_FILES)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["directory"])
    bind(server_pid, *request["limits"])
    os.write(_LINE, b"\n")


def _reap(pid: int) -> int:
    """How a fork ended that has closed its line; one that goes on without it ends here."""
    _kill(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _kill(pid: int) -> None:
    # One that hangs on its way to a group of its own has none yet. macOS answers EPERM for a group
    # of which only a zombie is left.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
