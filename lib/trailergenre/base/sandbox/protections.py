"""Which protections this machine gives to child processes, found by starting one."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import cache
from pathlib import Path

from trailergenre.base.sandbox import children

_LIMITS = children.ChildLimits(60, 4096, 1 << 40, 8 << 30, has_network=False)
_DEADLINE_S = 30.0

# Waits for its stdin to close, so that the parent can measure its memory.
_PROBE = """
import ctypes, json, os, resource, sys
libc, signal = ctypes.CDLL(None), ctypes.c_int(0)
report = {}
if sys.platform == "linux":
    libc.prctl(2, ctypes.byref(signal), 0, 0, 0)
    report["net"] = os.readlink("/proc/self/ns/net")
    report["privileges"] = libc.prctl(39, 0, 0, 0, 0) == 1
print(json.dumps(report | {
    "pdeathsig": signal.value,
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
        children.start_child(
            [sys.executable, "-I", "-S", "-c", _PROBE],
            deadline=children.Deadline(_DEADLINE_S),
            stderr=stderr,
            env={"LANG": "C.UTF-8"},
            limits=_LIMITS,
        ) as child,
    ):
        report = json.loads(child.stdout.readline() or b"{}")
        has_memory = children.group_memory_bytes(child.process.pid) > 0
    return {
        "net": "net" in report and report["net"] != str(Path("/proc/self/ns/net").readlink()),
        "pdeathsig": report.get("pdeathsig") == 9,
        "privileges": bool(report.get("privileges")),
        "rlimits": report.get("rlimits")
        == [_LIMITS.cpu_s, _LIMITS.file_bytes, _LIMITS.address_space_bytes, 0],
        "memory": has_memory,
    }


def missing_protections() -> str:
    """List the missing protections as `net=no pdeathsig=no`; empty if there are none."""
    return " ".join(f"{name}=no" for name, holds in protections().items() if not holds)
