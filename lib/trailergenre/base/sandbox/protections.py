"""Which protections this machine gives to child processes, found by starting one."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import cache
from pathlib import Path

from trailergenre.base.sandbox.children import (
    ChildLimits,
    Deadline,
    group_memory_bytes,
    start_child,
)

_LIMITS = ChildLimits(
    cpu_s=60,
    file_bytes=4096,
    memory_bytes=1 << 40,
    address_space_bytes=8 << 30,
    has_network=False,
)
_DEADLINE_S = 30.0

# Waits for its stdin to close, so that the parent can measure its memory.
_PROBE = """
import ctypes, json, os, resource, sys
libc, signal = ctypes.CDLL(None), ctypes.c_int(0)
on_linux = sys.platform == "linux"
if on_linux:
    libc.prctl(2, ctypes.byref(signal), 0, 0, 0)
print(json.dumps({
    "net": os.readlink("/proc/self/ns/net") if on_linux else None,
    "pdeathsig": signal.value,
    "privileges": on_linux and libc.prctl(39, 0, 0, 0, 0) == 1,
    "rlimits": [resource.getrlimit(kind)[0] for kind in (
        resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CORE)],
}), flush=True)
sys.stdin.read()
"""


@cache
def protections() -> dict[str, bool]:
    """Test each protection on this machine.

    Returns:
        `net`: the child has no network; `pdeathsig`: it dies with its parent; `privileges`: it can
        gain none; `rlimits`: limits on processor time, file size, address space and core files;
        `memory`: the memory of its group can be measured.
    """
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            [sys.executable, "-I", "-S", "-c", _PROBE],
            deadline=Deadline(_DEADLINE_S),
            stderr=stderr,
            env={"LANG": "C.UTF-8"},
            limits=_LIMITS,
        ) as child,
    ):
        report = json.loads(child.stdout.readline() or b"{}")
        has_memory = group_memory_bytes(child.process.pid) > 0
    return {
        "net": report.get("net") not in (None, _own_network()),
        "pdeathsig": report.get("pdeathsig") == 9,
        "privileges": bool(report.get("privileges")),
        "rlimits": report.get("rlimits")
        == [_LIMITS.cpu_s, _LIMITS.file_bytes, _LIMITS.address_space_bytes, 0],
        "memory": has_memory,
    }


def missing_protections() -> str:
    """List the missing protections as `net=no pdeathsig=no`; empty if there are none."""
    return " ".join(f"{name}=no" for name, holds in protections().items() if not holds)


def _own_network() -> str | None:
    return str(Path("/proc/self/ns/net").readlink()) if sys.platform == "linux" else None
