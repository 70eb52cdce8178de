"""Binds a process to its parent and its limits, then executes the program.

Run as `python -I -S -c <this source> LIMITS PROGRAM ARGUMENT...`, with the five numbers of
`bind`. Imports only modules that load in milliseconds: it starts thousands of children.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

LAUNCH_FAILED = 127
"""Exit code if the program cannot be started, as in a shell."""

N_FILES = 128
"""Open files of a process, enough for ffmpeg and deno."""

_CPU_GRACE_S = 5

# <linux/prctl.h>, <linux/sched.h>, <signal.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIGKILL = 9
_SIGPIPE = 13
_SIGXFSZ = 25


def main() -> None:
    """Bind this process, then execute the program."""
    bind(*(int(word) for word in sys.argv[1].split(",")))
    libc = ctypes.CDLL(None)
    # Python ignores these two signals, and exec would pass that on.
    libc.signal(_SIGPIPE, None)
    libc.signal(_SIGXFSZ, None)
    try:
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]} cannot be started: {error}\n")
        sys.exit(LAUNCH_FAILED)


def bind(
    parent_pid: int, cpu_s: int, file_bytes: int, address_space_bytes: int, has_network: int
) -> None:
    """Bind this process to its parent and to `ChildLimits`; an address space of 0 is unlimited.

    Exits if `parent_pid` is not the parent any more.
    """
    libc = ctypes.CDLL(None)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # As root, without a user namespace, in which it could not read other users' files.
        if not has_network and libc.unshare(_CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    # The parent may have died before the signal was armed.
    if os.getppid() != parent_pid:
        sys.exit(LAUNCH_FAILED)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, N_FILES)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    if address_space_bytes:
        _limit(resource.RLIMIT_AS, address_space_bytes)


def _limit(kind: int, value: int) -> None:
    """Lower a limit if the machine allows it; `protections` reports which ones it does."""
    try:
        hard = resource.getrlimit(kind)[1]
        # SIGXCPU, which names the reason, comes before SIGKILL.
        ceiling = value + _CPU_GRACE_S if kind == resource.RLIMIT_CPU else value
        if hard != resource.RLIM_INFINITY:
            value, ceiling = min(value, hard), min(ceiling, hard)
        resource.setrlimit(kind, (value, ceiling))
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    main()
