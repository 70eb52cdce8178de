"""When each picture of a video is shown, by the timestamps of the pictures themselves.

ffmpeg writes them as a second output, in its `framecrc` format: a few header lines, then one line
per picture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICKS_PER_S = 1_000_000

_SIZE = re.compile(r"#dimensions 0: (\d+)x(\d+)")


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a video, in the order in which they are shown.

    Attributes:
        width_px, height_px: of the first picture as displayed, after rotation.
        times: shape (n,), n >= 1, int64, in ticks after the container's first timestamp.
        claimed: ticks for which the last picture is shown, by its container.
    """

    width_px: int
    height_px: int
    times: NDArray[np.int64]
    claimed: int

    @property
    def last(self) -> int:
        """Ticks for which the last picture is shown: no longer than the longest of the others.

        A container may claim any length for it.
        """
        gaps = np.diff(self.times)
        return min(self.claimed, int(gaps.max())) if len(gaps) else self.claimed

    @property
    def length_s(self) -> float:
        """From the first picture to the end of the last."""
        return float((self.times[-1] - self.times[0] + self.last) / TICKS_PER_S)

    @property
    def claimed_end_s(self) -> float:
        """End of the last picture by its container, after the container's first timestamp."""
        return float((self.times[-1] + self.claimed) / TICKS_PER_S)

    @property
    def n_hidden(self) -> int:
        """The most pictures in a row whose timestamp is not after that of the one before."""
        is_after = np.diff(self.times) > 0
        ends = np.flatnonzero(np.concatenate(([True], is_after, [True])))
        return int(np.diff(ends).max()) - 1

    def count_frames(self, frames_per_s: float) -> tuple[int, int]:
        """The fewest and the most frames that can be taken while a picture is shown.

        ffmpeg may know less of the last picture's length than we do, and ticks are rounded.
        """
        per_tick = frames_per_s / TICKS_PER_S
        last_start = int(self.times[-1] - self.times[0])
        fewest = math.floor((last_start - 1) * per_tick) + 1
        most = math.floor((last_start + 1) * per_tick) + 1
        return fewest, max(most, math.ceil((last_start + self.last - 1) * per_tick))


def read_pictures(text: str) -> Pictures | None:
    """Read ffmpeg's list of pictures; None if it has none."""
    size = _SIZE.search(text)
    rows = [line.split(",") for line in text.splitlines() if line[:1].isdigit()]
    if size is None or not rows:
        return None
    times = np.array([int(row[2]) for row in rows])
    return Pictures(int(size[1]), int(size[2]), times, claimed=int(rows[-1][3]))
