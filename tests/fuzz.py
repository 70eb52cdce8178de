"""Mutated videos through the real decoder: each must end in a class of its own, and leave nothing.

python tests/fuzz.py --mutations 10000 --seed 1

A mutation is known by its seed and number alone; `--first 1234 --mutations 1` repeats one. The last
line is a summary in JSON; exits 1 where something went wrong that no video may cause.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import functools
import json
import random
import re
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import track

from clips import run_ffmpeg
from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import Decoder

DEADLINE_S = 20.0
LATE_S = 2.0
THREADS = 2
LIMITS = LimitsConfig(deadline_s=DEADLINE_S, max_frames=30)

SEEDS = {
    ".mp4": ("-c:v", "libx264"),
    ".mkv": ("-c:v", "libx264", "-cluster_time_limit", "500"),
    ".webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"),
    ".avi": ("-c:v", "mpeg4"),
    ".flv": ("-c:v", "libx264", "-ar", "44100"),
    ".ts": ("-c:v", "mpeg2video", "-r", "25"),
}
"""What the six containers hold, all with sound."""

TAGS = (
    *("-metadata", f"title={'title of a film, ' * 4}", "-metadata", f"comment={'comment ' * 12}"),
    *("-metadata:s:v", f"handler_name={'handler ' * 8}", "-metadata", f"service_name={'x' * 60}"),
)
"""Texts that the containers carry: titles, names of handlers and services."""


@functools.cache
def seeds() -> dict[str, bytes]:
    """A good video of 4 s in each container, by suffix."""
    with tempfile.TemporaryDirectory() as directory:
        for suffix, options in SEEDS.items():
            run_ffmpeg(
                *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=4", "-f", "lavfi"),
                *("-i", "sine=d=4", *options, "-pix_fmt", "yuv420p", *TAGS),
                f"{directory}/seed{suffix}",
            )
        files = {suffix: Path(directory, f"seed{suffix}").read_bytes() for suffix in SEEDS}
    for suffix, doctype in ((".mkv", b"matroska"), (".webm", b"webm")):
        files[suffix] = _pad_doctype(files[suffix], doctype)
    return files


def _pad_doctype(content: bytes, doctype: bytes, size: int = 50) -> bytes:
    """Make room for texts: a DocType may end in zeros."""
    header = bytearray(content[:64])
    header[4] += size - len(doctype)  # the header's length follows the four bytes of its id
    old, new = bytes([0x80 | len(doctype)]) + doctype, doctype.ljust(size, b"\0")
    return bytes(header).replace(old, bytes([0x80 | size]) + new, 1) + content[64:]


def flip_bits(content: bytearray, chosen: random.Random) -> None:
    for _ in range(chosen.choice((1, 10, 200))):
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)


def overwrite(content: bytearray, chosen: random.Random) -> None:
    start, end = block(content, chosen)
    content[start:end] = chosen.choice((bytes(end - start), chosen.randbytes(end - start)))


def delete(content: bytearray, chosen: random.Random) -> None:
    start, end = block(content, chosen)
    del content[start:end]


def duplicate(content: bytearray, chosen: random.Random) -> None:
    start, end = block(content, chosen)
    content[end:end] = content[start:end]


def swap(content: bytearray, chosen: random.Random) -> None:
    start, end = block(content, chosen)
    middle = (start + end) // 2
    content[start:end] = content[middle:end] + content[start:middle]


def truncate(content: bytearray, chosen: random.Random) -> None:
    near = min(len(content), chosen.choice((100, 4096, len(content))))
    del content[chosen.randrange(near) :]


def change_length(content: bytearray, chosen: random.Random) -> None:
    """Put another number where one may stand; the headers are at the ends of the file."""
    near = chosen.choice((len(content), 4096))
    offset = chosen.choice((chosen.randrange(near), -1 - chosen.randrange(near)))
    offset = max(0, offset % len(content) - 4)
    (old,) = struct.unpack(">I", (content[offset : offset + 4] + bytes(4))[:4])
    new = chosen.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, old + 1, old - 1, old * 2, old >> 1))
    content[offset : offset + 4] = struct.pack(">I", new % (1 << 32))


def splice(content: bytearray, chosen: random.Random) -> None:
    other = seeds()[chosen.choice(list(SEEDS))]
    content[chosen.randrange(len(content)) :] = other[chosen.randrange(len(other)) :]


TEXT = re.compile(rb"[\x20-\x7e]{4,}\0{0,50}")
FORGED = (
    b"\n[fatal] Unrecognized option '('\n",
    b"\r\n[fatal] Error splitting the argument list: Option not found\r\n",
    b"\x1b[31m[fatal] \x1b[0mOut of memory\n\x9b31m\x85[panic] %s%n\n",
    "\u2028[error] \u202e\t\x08\x7f\n".encode(),
)
"""Texts that would be events of ffmpeg's log if their line breaks and escapes were its own."""


def forge_text(content: bytearray, chosen: random.Random) -> None:
    """Overwrite names, tags and types of the container, whose lengths stay, with such texts."""
    places = [match.span() for match in TEXT.finditer(content)]
    # Headers are at the ends of a file; in between, noise looks like text, too.
    near = places[:10] + places[-10:]
    for start, end in chosen.sample(near, min(len(near), chosen.choice((1, 3, 20)))):
        start += chosen.choice((0, 4, 8))  # what a reader looks for often begins the text
        text = (chosen.choice(FORGED) * 20)[: max(0, end - start)]
        content[start : start + len(text)] = text


def block(content: bytearray, chosen: random.Random) -> tuple[int, int]:
    start = chosen.randrange(len(content))
    return start, min(len(content), start + chosen.choice((1, 16, 188, 1024, 8192)))


OPERATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bits,
    overwrite,
    delete,
    duplicate,
    swap,
    truncate,
    change_length,
    splice,
    *[forge_text] * 8,
)
"""Every second one writes texts."""


def mutate(seed: int, number: int) -> tuple[str, bytes]:
    """One mutated video and the suffix of what it was made of."""
    chosen = random.Random(f"{seed}:{number}")
    suffix = chosen.choice(list(SEEDS))
    content = bytearray(seeds()[suffix])
    for operation in chosen.choices(OPERATIONS, k=chosen.choice((1, 1, 2, 3))):
        operation(content, chosen)
        if not content:
            break
    return suffix, bytes(content)


@dataclass
class Summary:
    """What became of all mutations.

    Attributes:
        outcomes: their number by class.
        slowest_s: of one.
        problems: number and fault of each that did what no video may do.
    """

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def decode(seed: int, number: int, directory: Path) -> tuple[Outcome, float]:
    """Bring one mutation to its end; gives its class and its seconds."""
    suffix, content = mutate(seed, number)
    path = directory / f"{number}{suffix}"
    path.write_bytes(content)
    started = time.monotonic()
    outcome = Outcome.OK
    try:
        for _ in Decoder(FORM, 1, LIMITS).decode(path, deadline=Deadline(DEADLINE_S)).batches(16):
            pass
    except ItemError as error:
        outcome = error.outcome
    finally:
        path.unlink()
    return outcome, time.monotonic() - started


@contextlib.contextmanager
def own_scratch() -> Iterator[Path]:
    """A directory in which all temporary files are made."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="trailergenre-fuzz-") as directory:
        tempfile.tempdir = directory
        try:
            yield Path(directory)
        finally:
            tempfile.tempdir = before


def fuzz(
    mutations: int,
    *,
    seed: int,
    first: int = 0,
    show: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> Summary:
    """Decode mutations, two at a time.

    Args:
        mutations: how many.
        seed: of all.
        first: number of the first one.
        show: goes round the numbers as they end, to show the progress.
    """
    summary = Summary()
    seeds()
    others = psutil.Process().children()
    with own_scratch() as scratch, concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        waiting = {
            pool.submit(decode, seed, number, scratch): number
            for number in range(first, first + mutations)
        }
        for future in show(concurrent.futures.as_completed(waiting)):
            number, error = waiting[future], future.exception()
            if error is not None:
                summary.problems.append(f"{number}: {type(error).__name__}: {error}")
                continue
            outcome, seconds = future.result()
            summary.outcomes[outcome] += 1
            summary.slowest_s = max(summary.slowest_s, seconds)
            if outcome is Outcome.INTERNAL or seconds > DEADLINE_S + LATE_S:
                summary.problems.append(f"{number}: {outcome} after {seconds:.1f} s")
        left = sorted(path.name for path in scratch.iterdir())
    summary.problems += [f"left in scratch: {name}" for name in left]
    ours = [child for child in psutil.Process().children() if child not in others]
    summary.problems += [f"still running: {child}" for child in ours]
    return summary


def main() -> None:
    """Read the command line, fuzz, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    options = parser.parse_args()
    started = time.monotonic()
    bar = functools.partial(
        track, description="mutations", total=options.mutations, console=Console(stderr=True)
    )
    summary = fuzz(options.mutations, seed=options.seed, first=options.first, show=bar)
    print(
        json.dumps(
            {
                "mutations": sum(summary.outcomes.values()),
                "seed": options.seed,
                "outcomes": dict(sorted(summary.outcomes.items())),
                "slowest_s": round(summary.slowest_s, 1),
                "seconds": round(time.monotonic() - started, 1),
                "problems": summary.problems,
            }
        )
    )
    raise SystemExit(1 if summary.problems else 0)


if __name__ == "__main__":
    main()
