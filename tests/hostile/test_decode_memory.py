"""The decoder's memory stays within its bound on every bomb."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hostile.decode_cases import CASES, DecodeCase
from hostile.decode_files import x264

MAX_BYTES = 1_500_000_000

# In a process of its own: the largest of all children that ever ran is what the kernel keeps.
MEASURE = """
import json, resource, sys
from pathlib import Path
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.config import LimitsConfig
from trailergenre.frames.decoder import Decoder
from trailergenre.base.errors import ItemError
from trailergenre.base.sandbox.children import Deadline
video = Decoder(FORM, 1, LimitsConfig()).decode(Path(sys.argv[1]), deadline=Deadline(120))
try:
    for _ in video.batches(16):
        pass
    outcome = "ok"
except ItemError as error:
    outcome = error.outcome
print(json.dumps([outcome, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""

BOMBS = [case for case in CASES if case.row in (40, 41, 49)]


def measure(path: Path) -> tuple[str, int]:
    """The class, and the peak of resident bytes of the children."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    outcome, peak = json.loads(run.stdout)
    return outcome, peak if sys.platform == "darwin" else peak * 1024


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS, ids=lambda case: case.name)
def test_bomb_stays_within_its_memory(case: DecodeCase, tmp_path: Path) -> None:
    outcome, peak_bytes = measure(case.make(tmp_path))
    assert outcome == case.outcome
    assert 0 < peak_bytes <= MAX_BYTES


@pytest.mark.slow
def test_largest_allowed_pictures_can_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    options = ("-refs", "16", "-x264-params", "ref=16")
    path.write_bytes(x264(".mp4", *options, film="testsrc2=s=3840x2160:r=6:d=3"))
    outcome, peak_bytes = measure(path)
    assert outcome == "ok"
    assert peak_bytes <= MAX_BYTES
