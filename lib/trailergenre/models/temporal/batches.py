"""Streamed links to padded batches, and to the scale of their features, in bounded memory.

A batch holds links of similar length. Knows nothing of Keras or of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import FeatureArray, TruthArray
from trailergenre.models.temporal.source import LabelledFrames

BUFFER_BYTES = 96_000_000
"""Features that wait to be shuffled: 80 videos of 150 frames, 2,048 wide."""
MAX_COST = 7_200
"""Of a batch, by `_cost`, so that the memory of a step is bounded: 36 videos of 150 frames, or 2 of
1,200. Longer videos make smaller batches."""
_ATTENTION_FRAMES = 600
"""Frames of a video at which attention, which grows with the square, takes as much as the rest."""
_STEP_FRAMES = 16
"""Lengths are padded to multiples, as every new shape makes TensorFlow keep something."""
_WINDOW_BATCHES = 8
"""Batches whose links are sorted by length: enough to pad little, few enough to stay random."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Links side by side.

    Attributes:
        features: shape (n, time, n_features), float32; 0 after a link's last frame.
        mask: shape (n, time), float32; 1 for a frame, 0 for padding.
        truth: shape (n, n_genres), int8.
    """

    features: FeatureArray
    mask: NDArray[np.float32]
    truth: TruthArray


@dataclass(frozen=True, slots=True)
class Scale:
    """What standardises features.

    Attributes:
        mean: shape (n_features,), float64, over all frames of all links.
        std: the same shape, of the population; 1 where a feature is constant.
        n_links: links seen.
        n_genres: length of a truth row.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    n_links: int
    n_genres: int


def measure_scale(links: Iterable[LabelledFrames]) -> Scale:
    """Measure mean and standard deviation in one pass.

    Raises:
        ValueError: there is no link.

    Source: Chan, Golub, LeVeque 1983: means and squares of parts are joined, so that nothing is
    subtracted that is large and almost equal.
    """
    n_frames, n_links, n_genres = 0, 0, 0
    mean = squares = np.zeros(0)
    for link, truth in links:
        wide = link.features.astype(np.float64)
        n, part = len(wide), wide.mean(axis=0)
        part_squares = np.square(wide - part).sum(axis=0)
        if not n_links:
            mean, squares = np.zeros_like(part), np.zeros_like(part)
        shift, total = part - mean, n_frames + n
        mean = mean + shift * n / total
        squares = squares + part_squares + shift**2 * n_frames * n / total
        n_frames, n_links, n_genres = total, n_links + 1, len(truth)
    if not n_links:
        raise ValueError("There is no link to train on.")
    std = np.sqrt(squares / n_frames)
    # A constant feature has rounding for a deviation at most.
    is_constant = std <= np.abs(mean) * np.finfo(np.float32).eps
    return Scale(mean, np.where(is_constant, 1.0, std), n_links, n_genres)


def shuffled_batches(
    links: Iterable[LabelledFrames], *, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Cut links into batches, shuffled within a buffer of `BUFFER_BYTES`.

    Args:
        links: in any order; their files should come shuffled.
        batch_size: links a batch at most; fewer where they are long.
        seed: of the order.
    """
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
    """Cut links into batches as they come: the truth travels with them, so no order is needed."""
    for buffer in _buffers(links):
        groups = cut_by_length(buffer, batch_size)
        buffer.clear()
        while groups:
            yield pad_links(groups.pop())


def _buffers(links: Iterable[LabelledFrames]) -> Iterator[list[LabelledFrames]]:
    """Fill buffers; whoever takes one empties it, so that there are not two at a time."""
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
    """Sort by length and cut into groups that fit into a batch each."""
    groups: list[list[LabelledFrames]] = []
    for labelled in sorted(links, key=lambda labelled: len(labelled[0].features)):
        # The last one of a group is its longest.
        has_room = groups and (len(groups[-1]) + 1) * _cost(labelled) <= MAX_COST
        if has_room and len(groups[-1]) < batch_size:
            groups[-1].append(labelled)
        else:
            groups.append([labelled])
    return groups


def pad_links(links: list[LabelledFrames]) -> Batch:
    """Put links beside each other."""
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
    """Memory of a link in a batch, in frames of a short video."""
    time = _padded_length(labelled)
    return time * (1 + time / _ATTENTION_FRAMES)
