"""The sandbox around every child process: its deadline, its limits, its whole group.

Knows nothing of what the children do.
"""

from trailergenre.sandbox.children import Child, ChildLimits, Deadline, start_child

__all__ = ["Child", "ChildLimits", "Deadline", "start_child"]
