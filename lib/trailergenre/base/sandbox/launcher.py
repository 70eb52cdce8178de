"""Between fork and exec: binds a process to its parent and its limits, then becomes the program.

Run as a program, `python -I -S -c <this source> LIMITS PROGRAM ARGUMENT...`, where LIMITS
are five numbers from `children.py`. Imports only what starts in milliseconds: json and signal
would add 8 ms to each of many thousands of children. `server.py` binds its forks by the same
function.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

LAUNCH_FAILED = 127
"""Exit code where the program could not be started, as a shell's."""

N_FILES = 128
"""Open files of a process; ffmpeg and deno get along with it."""

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
    """Bind this process, limit it and become the program."""
    bind(*(int(word) for word in sys.argv[1].split(",")))
    libc = ctypes.CDLL(None)
    # Python ignores these two, and an ignored signal stays ignored over exec.
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
    """Bind this process to its parent and limit it; cannot be undone.

    Args:
        parent_pid: where another is the parent by now, this process ends.
        cpu_s: as in `ChildLimits`.
        file_bytes: as in `ChildLimits`.
        address_space_bytes: as in `ChildLimits`; 0 for no bound.
        has_network: 0 or 1.
    """
    libc = ctypes.CDLL(None)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # A privileged worker gets a network of its own without a user namespace, in which it could
        # not read other users' files any more.
        if not has_network and libc.unshare(_CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    # A parent that was killed before the signal was armed is nobody's parent any more.
    if os.getppid() != parent_pid:
        sys.exit(LAUNCH_FAILED)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, N_FILES)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    if address_space_bytes:
        _limit(resource.RLIMIT_AS, address_space_bytes)


def _limit(kind: int, value: int) -> None:
    """Lower a limit; one that cannot be had leaves the child as it is (`sandbox.protections`)."""
    try:
        hard = resource.getrlimit(kind)[1]
        # The signal that tells the reason comes before the one that cannot be caught.
        ceiling = value + _CPU_GRACE_S if kind == resource.RLIMIT_CPU else value
        if hard != resource.RLIM_INFINITY:
            value, ceiling = min(value, hard), min(ceiling, hard)
        resource.setrlimit(kind, (value, ceiling))
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    main()
