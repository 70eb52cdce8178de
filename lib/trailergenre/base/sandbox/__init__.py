"""The sandbox of child processes: deadline, limits, and death of the whole process group."""

from trailergenre.base.sandbox.children import (
    Child,
    ChildLimits,
    Deadline,
    group_memory_bytes,
    start_child,
)
from trailergenre.base.sandbox.fork_client import SERVER_GONE, ForkError, fork_child, stop_servers
from trailergenre.base.sandbox.launcher import LAUNCH_FAILED
from trailergenre.base.sandbox.protections import missing_protections, protections

__all__ = [
    "LAUNCH_FAILED",
    "SERVER_GONE",
    "Child",
    "ChildLimits",
    "Deadline",
    "ForkError",
    "fork_child",
    "group_memory_bytes",
    "missing_protections",
    "protections",
    "start_child",
    "stop_servers",
]
