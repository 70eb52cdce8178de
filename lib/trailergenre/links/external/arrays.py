"""Arrays of strangers' files, streamed from a child process whose memory and time are bounded.

A file of kilobytes may declare terabytes, unpack to gigabytes, or make a codec crash. What
the child says is checked again: it has read those files.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Collection, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FeatureArray
from trailergenre.base.sandbox.children import Child, ChildLimits, Deadline, start_child
from trailergenre.links.external.array_child import MAX_ARRAY_BYTES

Kind = Literal["zarr", "npz", "parquet"]

_SECONDS = 60.0  # for the list of arrays, and for each array
_CPU_SECONDS = 86_400  # of the whole set
_MEMORY_BYTES = 512 << 20
_ADDRESS_SPACE_BYTES = 3 << 30  # of which threads and Arrow's libraries reserve most
_MAX_LINE_BYTES = 64 << 20


class ReadArray(NamedTuple):
    """An array, or what is wrong with it."""

    name: str
    features: FeatureArray | None
    problem: str = ""


class Listing(NamedTuple):
    """The ids of all arrays, and the features of a frame."""

    names: tuple[str, ...]
    width: int


@dataclass(frozen=True)
class ArrayFiles:
    """Files of one kind that hold an array for each id: shape (frames, width), floats."""

    kind: Kind
    paths: tuple[Path, ...]

    def list_arrays(self) -> Listing:
        """List the arrays.

        Raises:
            ConfigError: a file cannot be read, has no array, or does not say its width.
        """
        with self._start() as (child, messages, _):
            return self._read_listing(child, messages)

    def stream(self, wanted: Collection[str], width: int) -> Iterator[ReadArray]:
        """Read the wanted arrays, one at a time, in the order of the files.

        A child that ends while it reads an array ends with this array alone.
        """
        left = set(wanted)
        while left:
            n_before = len(left)
            with closing(self._stream(left, width)) as arrays:
                for array in arrays:
                    left.discard(array.name)
                    yield array
            if len(left) == n_before:
                raise ConfigError(
                    f"{self._name} cannot be read to the end: {n_before} arrays are left. It "
                    "changed meanwhile, or needs more memory or time than is allowed."
                )

    def _stream(self, wanted: Collection[str], width: int) -> Generator[ReadArray]:
        with self._start() as (child, messages, deadline):
            listed = set(self._read_listing(child, messages).names)
            child.stdin.write(json.dumps(sorted(listed.intersection(wanted))).encode() + b"\n")
            child.stdin.flush()
            while line := _read_line(child):
                name = str(line.get("id"))
                array = _read_array(child, name, width) if name in wanted else None
                if array is None:
                    return
                with deadline.paused():
                    yield array
                deadline.renew()

    @property
    def _name(self) -> str:
        return ", ".join(map(str, self.paths))

    @contextmanager
    def _start(self) -> Iterator[tuple[Child, IO[bytes], Deadline]]:
        words = ["-P", "-m", "trailergenre.links.external.array_child", self.kind]
        deadline = Deadline(_SECONDS)
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with (
            tempfile.TemporaryFile() as messages,
            start_child(
                [sys.executable, *words, *map(str, self.paths)],
                deadline=deadline,
                stderr=messages,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **one_thread},
                limits=ChildLimits(
                    _CPU_SECONDS, 1 << 20, _MEMORY_BYTES, _ADDRESS_SPACE_BYTES, False
                ),
            ) as child,
        ):
            yield child, messages, deadline

    def _read_listing(self, child: Child, messages: IO[bytes]) -> Listing:
        found = _read_line(child)
        if not found:
            child.process.wait()
            messages.seek(0)
            said = messages.read(100_000).decode("utf-8", "replace").strip().splitlines()
            reason = "it needs more memory or time than is allowed"
            raise ConfigError(f"{self._name} cannot be read: {said[-1] if said else reason}.")
        names, width = tuple(map(str, found["ids"])), int(found["width"])
        if not names or not 0 < width <= MAX_ARRAY_BYTES:
            raise ConfigError(f"{self._name} holds no arrays of features.")
        return Listing(names, width)


def _read_line(child: Child) -> dict[str, Any] | None:
    """The child's next line; None if it ended."""
    line = child.stdout.readline(_MAX_LINE_BYTES)
    try:
        return dict(json.loads(line)) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _read_array(child: Child, name: str, width: int) -> ReadArray:
    ended = ReadArray(name, None, "reading it ended: it needs more memory or time than is allowed")
    found = _read_line(child)
    if found is None:
        return ended
    if "problem" in found:
        return ReadArray(name, None, str(found["problem"]))
    shape = [int(length) for length in found["shape"]]
    n_bytes = 4 * math.prod(shape)
    if len(shape) != 2 or not 0 <= n_bytes <= 2 * MAX_ARRAY_BYTES:
        child.kill()
        return ended
    content = child.stdout.read(n_bytes)
    if len(content) < n_bytes:
        return ended
    features = np.frombuffer(content, "<f4").reshape(shape)
    if not shape[0]:
        return ReadArray(name, None, "has no frames")
    if shape[1] != width:
        return ReadArray(name, None, f"has {shape[1]} features a frame; the set has {width}")
    if n_wrong := int((~np.isfinite(features)).sum()):
        wrong = f"has {n_wrong} of {features.size} values missing or not finite"
        return ReadArray(name, None, wrong)
    return ReadArray(name, features)
