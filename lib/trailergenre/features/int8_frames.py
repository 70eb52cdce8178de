"""Videos to evenly taken frames: what an int8 network is calibrated with and judged by.

Knows nothing of networks; the decoder and its sampling rate are those of a run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, ItemError
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import FrameArray
from trailergenre.base.sandbox import Deadline
from trailergenre.frames.decoder import Decoder

log = logging.getLogger(__name__)

MAX_FRAMES = 512
"""Of all videos together: 137 MB, and more do not change the ranges of activations by much."""

_MAX_VIDEOS = 64
_BATCH = 16


def take_frames(path: Path, config: Config) -> list[FrameArray]:
    """Decode a video, or the videos of a directory, and take evenly from each.

    Args:
        path: of a directory 64 videos at most are taken, evenly by name. One that cannot be
            decoded is skipped with a warning: kept videos hold such ones.
        config: how a run decodes.

    Returns:
        One array a video, shape (n, 299, 299, 3), uint8, RGB; 512 frames at most together.

    Raises:
        ConfigError: there is no video that can be decoded.
    """
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    step = -(-len(files) // _MAX_VIDEOS) or 1
    files = files[::step]
    decoder = Decoder(config.frames.per_second, config.limits)
    videos = []
    with progress_bar("decode", unit="frames") as report:
        for file in files:
            try:
                deadline = Deadline(config.limits.deadline_s)
                video = decoder.decode(file, deadline=deadline)
                videos.append(_thin(video.batches(_BATCH), MAX_FRAMES // len(files)))
            except ItemError as error:
                log.warning("calibration skips %s: %s", file.name, error)
            n_frames = sum(map(len, videos))
            report(n_frames, n_frames)
    if not videos:
        raise ConfigError(f"--calibration {path} holds no video that can be decoded.")
    return videos


def _thin(batches: Iterator[FrameArray], limit: int) -> FrameArray:
    """Take `limit` frames at most, each as far from the next; memory holds no more than that."""
    kept: list[FrameArray] = []
    step = 1
    place = 0
    for batch in batches:
        for frame in batch:
            if place % step == 0:
                kept.append(frame.copy())
            place += 1
            if len(kept) > limit:
                kept = kept[::2]
                step *= 2
    return np.stack(kept)
