"""Made sequences of frames for tests of the temporal head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trailergenre.base.records import LinkFrames
from trailergenre.models.temporal.source import LabelledFrames

WIDTH = 16


@dataclass(frozen=True)
class ListSource:
    """Links in memory, in an order that the seed decides."""

    links: Sequence[LabelledFrames]

    def stream(self, seed: int) -> Iterator[LabelledFrames]:
        order = np.random.default_rng(seed).permutation(len(self.links))
        return (self.links[place] for place in order)


def labelled(features: np.ndarray, truth: Sequence[int]) -> LabelledFrames:
    times = np.arange(len(features), dtype=np.float64)
    link = LinkFrames("made", features.astype(np.float32), times)
    return link, np.array(truth, np.int8)


def rising_or_falling(n: int, *, seed: int, shuffled: bool = False) -> list[LabelledFrames]:
    """Sequences of 12 to 40 frames whose class shows in their order alone.

    Four features rise from -1.5 to 1.5 within noise (class 0) or fall (class 1): the frames of
    a class are those of the other, read from the end. With `shuffled` labels are drawn anew.
    """
    rng = np.random.default_rng(seed)
    links = []
    for _ in range(n):
        length, is_falling = int(rng.integers(12, 41)), bool(rng.integers(2))
        features = rng.normal(scale=0.5, size=(length, WIDTH))
        features[:, :4] += np.linspace(-1.5, 1.5, length)[:, None]
        label = int(rng.integers(2)) if shuffled else int(is_falling)
        links.append(labelled(features[::-1] if is_falling else features, [1 - label, label]))
    return links
