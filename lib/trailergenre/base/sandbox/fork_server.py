"""Loads a program once, and forks it for every request of its worker.

Runs as a process of its own, which `fork_client.py` starts with a socket as standard input. It is
single-threaded, so that it may fork. It receives limits, environments and open files, but neither
links nor secrets: those reach a fork by its own standard input.
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
_MAX_REQUEST_BYTES = 65536
_LINE = 3
"""File descriptor in a fork: a socket by which the worker sees it begin and end."""
_N_FILES = _LINE + 1  # standard input, output and error, and the line
_MAX_FILES = 1024
_END = object()


def serve(run: Callable[[], None], warm_up: Iterator[None]) -> NoReturn:
    """Fork for every request, until the worker closes its end or dies. Forks call `run`.

    `warm_up` does work that makes forks faster, in short steps, while no request waits.
    """
    control = socket.socket(fileno=0)
    control.sendall(_READY)
    living: set[int] = set()
    while True:
        _warm_up(control, warm_up)
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
            os._exit(0)  # unloading all modules would take as long as the work
        if pid > 0:
            living.add(pid)
        for file in files:
            os.close(file)
        control.sendall(b"%d\n" % pid)
    for pid in living:
        _kill(pid)
    os._exit(0)


def _warm_up(control: socket.socket, steps: Iterator[None]) -> None:
    # The steps run others' code, whose exceptions (such as re.error and yt-dlp's) share no other
    # base class. One ends the warm-up, never the server.
    with contextlib.suppress(Exception):
        while not select.select([control], [], [], 0)[0]:
            if next(steps, _END) is _END:
                return


def _fork() -> int:
    """As `os.fork`; a negative number is an errno."""
    try:
        return os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)


def _receive(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Receive a request (our own JSON) and its files; None if the worker is gone."""
    try:
        text, files, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, _N_FILES)
    except ConnectionError:
        return None, []
    return (json.loads(text) if text else None), files


def _become_child(request: dict[str, Any], files: list[int], server_pid: int) -> None:
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
    """Return the exit code of a fork that closed its line; kill it if it still runs."""
    _kill(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _kill(pid: int) -> None:
    # A fork that hangs before `setsid` leads no group yet. macOS answers EPERM for a group of which
    # only a zombie is left.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
