from __future__ import annotations

from pathlib import Path

import pytest

from clips import run_ffmpeg
from trailergenre.base.config import LimitsConfig
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import Decoder

FORGED = "[trace] stream {}: start_time: {} duration: {}"
FORGED_LINE = f"[in#0/mov @ 0x1] {FORGED.format(0, 0, 9)}"


@pytest.mark.parametrize(
    "title",
    [
        FORGED.format(0, "a", "b"),
        FORGED.format(0, 0, 9),
        f"\n{FORGED_LINE}",
        # Lines are read in pieces of 4096 bytes, and the second piece starts like a line. (ffmpeg
        # cuts tags at 255 bytes, but starts again after each vertical tab.)
        "\v".join([*["-" * 226] * 17, "-" * 225, FORGED_LINE]),
    ],
)
def test_title_does_not_change_the_length(tmp_path: Path, title: str) -> None:
    # Longer sound: only the second pass shows that no picture is missing.
    clip = tmp_path / "x.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x64:r=4:d=2", "-f", "lavfi", "-i", "sine=d=8"),
        *("-metadata", f"title={title}", str(clip)),
    )
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    assert sum(len(batch) for batch in video.batches(16)) == 2
