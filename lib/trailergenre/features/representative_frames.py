"""Videos to representative frames: what an int8 network is quantized with and compared on."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, ItemError
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import FrameArray, FrameForm
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.terminal import escape
from trailergenre.frames.decoder import Decoder

log = logging.getLogger(__name__)

MAX_FRAMES = 512
"""Of all videos together: 137 MB at 299 x 299. More hardly change the ranges of activations."""

_MAX_VIDEOS = 64
_BATCH = 16


def read_representative_frames(path: Path, config: Config, form: FrameForm) -> list[FrameArray]:
    """Decode a video, or the videos of a directory, and take frames evenly from each.

    Of a directory, at most 64 videos are used, evenly by name. A video that cannot be decoded is
    skipped with a warning: a directory of kept videos holds such files. A ConfigError if none can.

    Returns:
        One array per video, shape (n, height, width, 3), uint8, RGB; at most 512 frames in total.
    """
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    files = files[:: -(-len(files) // _MAX_VIDEOS) or 1]
    decoder = Decoder(form, config.frames.per_second, config.limits)
    videos = []
    with progress_bar("decode", unit="frames") as on_step:
        for file in files:
            try:
                video = decoder.decode(file, deadline=Deadline(config.limits.deadline_s))
                videos.append(_thin_out(video.batches(_BATCH), MAX_FRAMES // len(files)))
            except ItemError as error:
                log.warning("skipping %s: %s", escape(file.name), error)
            n_frames = sum(map(len, videos))
            on_step(n_frames, n_frames)
    if not videos:
        raise ConfigError(f"--calibration {path} holds no video that can be decoded.")
    return videos


def _thin_out(batches: Iterator[FrameArray], limit: int) -> FrameArray:
    """Take at most `limit` frames at equal distances; memory holds no more than that."""
    kept, step = list[FrameArray](), 1
    for place, frame in enumerate(itertools.chain.from_iterable(batches)):
        if place % step == 0:
            kept.append(frame.copy())
        if len(kept) > limit:
            kept = kept[::2]
            step *= 2
    return np.stack(kept)
