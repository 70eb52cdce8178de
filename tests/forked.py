"""Forks of a warmed program that run whatever Python code a test writes to them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trailergenre
from trailergenre.base.sandbox.children import Child, ChildLimits, Deadline
from trailergenre.base.sandbox.fork_client import fork_child

HOME = str(Path(trailergenre.__file__).parents[1])
LIMITS = ChildLimits(
    cpu_s=60,
    file_bytes=1_000_000,
    memory_bytes=1_000_000_000,
    address_space_bytes=None,
    has_network=True,
)


def program(warm_up: str = "", run: str = "exec(sys.stdin.read(), {})") -> list[str]:
    """A program that warms up by some code and runs other code in its forks."""
    code = f"""
import sys
sys.path.insert(0, {HOME!r})
from trailergenre.base.sandbox.fork_server import serve
{warm_up}
serve(lambda: {run}, iter(()))
"""
    return ["-c", code]


@contextmanager
def fork_python(
    code: str,
    *,
    seconds: float = 60,
    limits: ChildLimits = LIMITS,
    of: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> Iterator[Child]:
    """Run code in a fork, in a directory of its own."""
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryFile() as stderr,
        fork_child(
            of or program(),
            directory=Path(name),
            deadline=Deadline(seconds),
            stderr=stderr,
            env={} if env is None else env,
            limits=limits,
        ) as child,
    ):
        child.stdin.write(code.encode())
        child.stdin.close()
        yield child


@dataclass(frozen=True)
class Ended:
    """How a fork ended."""

    code: int
    out: str


def run_fork(code: str, limits: ChildLimits = LIMITS, of: Sequence[str] = ()) -> Ended:
    """Run code in a fork to its end; what it writes to stderr comes with the rest."""
    joined = f"import os; os.dup2(1, 2)\n{code}"
    with fork_python(joined, limits=limits, of=of) as child:
        out = child.stdout.read().decode()
        return Ended(child.process.wait(), out)
