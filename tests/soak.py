"""The long tests, in parts of about ten minutes or less; keeps their last results in docs/soak.md.

python tests/soak.py            all parts, one after the other
python tests/soak.py fuzz-1     one part
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "soak.md"
SEEDS = "1,2,3"
PYTEST = ["-m", "pytest", "-q"]
KILLS = "tests/faults/test_kill_and_resume.py"


def kills(victim: str) -> list[str]:
    """Seven points x three seeds for one victim."""
    return [*PYTEST, "-m", "", KILLS, "-k", victim]


def fuzz(seed: int) -> list[str]:
    """A quarter of the 10,000 mutations."""
    return ["tests/fuzz.py", "--mutations", "2500", "--seed", str(seed)]


PARTS: dict[str, list[str]] = {
    "tests": [*PYTEST, "-m", "soak", f"--ignore={KILLS}", "tests"],
    "docs": [*PYTEST, "tests/docs/test_commands.py"],
    "kill-worker": kills("worker"),
    "kill-executor": kills("executor"),
    "kill-driver": kills("killed_driver"),
    "fuzz-1": fuzz(1),
    "fuzz-2": fuzz(2),
    "fuzz-3": fuzz(3),
    "fuzz-4": fuzz(4),
    "growth": ["tests/growth.py", "--links", "500"],
}


def main() -> None:
    """Run the parts that are named, or all; exits 1 where one failed."""
    names = sys.argv[1:] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise SystemExit(f"error: no part {unknown[0]!r}. Received one of: {', '.join(PARTS)}.")
    codes = [run(name) for name in names]
    raise SystemExit(1 if any(codes) else 0)


def run(name: str) -> int:
    """Run one part, show what it says, and keep its last line."""
    print(f"== {name}", file=sys.stderr, flush=True)
    started, ran = time.monotonic(), commit()
    process = subprocess.Popen(
        [sys.executable, *PARTS[name]],
        cwd=REPOSITORY,
        env={**os.environ, "TRAILERGENRE_SEEDS": SEEDS, "PAGES_TO_TYPE": "all"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    code = process.wait()
    verdict = "passed" if code == 0 else "FAILED"
    took = f"{time.monotonic() - started:.0f} s"
    keep(name, [f"{datetime.now(UTC):%Y-%m-%d}", ran, took, verdict, f"`{last.strip('= ')}`"])
    return code


def keep(name: str, cells: list[str]) -> None:
    """Replace the part's row of the page."""
    rows = {
        line.split("|")[1].strip(): line
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and line.split("|")[1].strip() in PARTS
    }
    rows[name] = f"| {' | '.join([name, *cells])} |"
    table = [rows[part] for part in PARTS if part in rows]
    PAGE.write_text("\n".join([*HEAD, *table]) + "\n")


def commit() -> str:
    """Of the code that ran; a star where it was not committed."""
    sha = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "lib", "jobs", "tests")
    return f"{sha}*" if changed else sha


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


HEAD = """\
# Soak tests

This page shows the last result of each part of `make soak` (`make soak PART=fuzz-1` runs one).

`tests/soak.py` writes it: the last line of output of each part, with the commit that ran (a star
means uncommitted changes).

- `tests`: tests marked `soak`, the long variants of tests in `make test-all`: the demo on own
  videos, denied hosts in all spellings and places, a list of 1,000 rows, 204 links over hostile
  hosts, every kill of executor and driver around MongoDB, 10,000 published frames; on a cluster,
  speculative twins of a MongoDB write and tasks that are each given a GPU; MLlib's forests on
  published data and beside scikit-learn's, fold by fold; the GRU trained; the site on a wide
  screen.
- `docs`: every command of README and docs, page by page in one directory.
- `kill-*`: seven points x three lists for each victim: P1 the task has its links, P2 during a
  download, P3 after it, P4 during decoding, P5 in the network, P6 the features file is written,
  P7 its outcomes are written. A case passes if all checks of `trailergenre verify` hold, the
  content hash equals that of the uninterrupted run, no committed link was requested again, and
  no scratch file or child process is left.
- `fuzz-*`: mutated videos of six containers through the decoder's child process.
- `growth`: one worker over 500 links, every fifth bad.

| part | date | commit | took | verdict | result |
|---|---|---|---|---|---|
""".splitlines()


if __name__ == "__main__":
    main()
