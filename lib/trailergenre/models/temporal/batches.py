"""Streamed links to padded batches of similar length, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import FeatureArray, TruthArray
from trailergenre.models.temporal.source import LabelledFrames

BUFFER_BYTES = 96_000_000
"""Size of the shuffle buffer: 80 videos of 150 frames, 2,048 wide."""
MAX_COST = 7_200
"""Of a batch, by `_cost`, to bound memory: 36 videos of 150 frames, or 2 of 1,200."""
_ATTENTION_FRAMES = 600
"""Frames at which attention, which is quadratic, takes as much memory as the rest."""
_STEP_FRAMES = 16
"""Lengths are padded to multiples: TensorFlow keeps memory for every new shape."""
_WINDOW_BATCHES = 8
"""Batches whose links are sorted by length: a trade-off of padding and randomness."""


class Batch(NamedTuple):
    """Padded links."""

    features: FeatureArray  # (n, time, n_features); 0 after a link's last frame
    mask: NDArray[np.float32]  # (n, time); 1 for a frame, 0 for padding
    truth: TruthArray  # (n, n_genres)


class Scale(NamedTuple):
    """Mean and standard deviation of each feature, over all frames of all links."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]  # of the population; 1 if a feature is constant
    n_genres: int


def measure_scale(links: Iterable[LabelledFrames]) -> Scale:
    """Measure the scale in one pass, in float64.

    Raises:
        ValueError: there is no link.
    """
    from sklearn.preprocessing import StandardScaler

    scaler, n_genres = StandardScaler(), 0
    for link, truth in links:
        scaler.partial_fit(link.features)
        n_genres = len(truth)
    if not n_genres:
        raise ValueError("There is no link to train on.")
    return Scale(scaler.mean_, scaler.scale_, n_genres)


def shuffled_batches(
    links: Iterable[LabelledFrames], *, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Batch at most `batch_size` links, fewer if they are long, shuffled within a buffer."""
    rng = np.random.default_rng(seed)
    window = _WINDOW_BATCHES * batch_size
    for buffer in _buffers(links):
        buffer[:] = [buffer[place] for place in rng.permutation(len(buffer))]
        while buffer:
            groups = cut_by_length(buffer[-window:], batch_size)
            del buffer[-window:]
            groups[:] = [groups[place] for place in rng.permutation(len(groups))]
            while groups:
                yield pad_links(groups.pop())


def ordered_batches(links: Iterable[LabelledFrames], *, batch_size: int) -> Iterator[Batch]:
    """Batch links as they come."""
    for buffer in _buffers(links):
        groups = cut_by_length(buffer, batch_size)
        buffer.clear()
        while groups:
            yield pad_links(groups.pop())


def _buffers(links: Iterable[LabelledFrames]) -> Iterator[list[LabelledFrames]]:
    """Fill buffers; the caller empties each one, so that only one is in memory."""
    buffer: list[LabelledFrames] = []
    n_bytes = 0
    for labelled in links:
        n_bytes += labelled[0].features.nbytes
        buffer.append(labelled)
        if n_bytes >= BUFFER_BYTES:
            yield buffer
            buffer, n_bytes = [], 0
    if buffer:
        yield buffer


def cut_by_length(links: list[LabelledFrames], batch_size: int) -> list[list[LabelledFrames]]:
    """Sort by length and cut into groups that fit into a batch."""
    groups: list[list[LabelledFrames]] = []
    for labelled in sorted(links, key=lambda labelled: len(labelled[0].features)):
        # A group's last link is its longest.
        has_room = groups and (len(groups[-1]) + 1) * _cost(labelled) <= MAX_COST
        if has_room and len(groups[-1]) < batch_size:
            groups[-1].append(labelled)
        else:
            groups.append([labelled])
    return groups


def pad_links(links: list[LabelledFrames]) -> Batch:
    """Pad links to one length."""
    time = max(_padded_length(labelled) for labelled in links)
    features = np.zeros((len(links), time, links[0][0].features.shape[1]), np.float32)
    mask = np.zeros((len(links), time), np.float32)
    for row, (link, _) in enumerate(links):
        features[row, : len(link.features)] = link.features
        mask[row, : len(link.features)] = 1
    return Batch(features, mask, np.stack([truth for _, truth in links]))


def _padded_length(labelled: LabelledFrames) -> int:
    return -(-len(labelled[0].features) // _STEP_FRAMES) * _STEP_FRAMES


def _cost(labelled: LabelledFrames) -> float:
    """Memory of a link in a batch, in units of a short video's frame."""
    time = _padded_length(labelled)
    return time * (1 + time / _ATTENTION_FRAMES)
