"""A run's features to what a temporal head is trained on: links with their truth, file by file.

Knows nothing of Keras or of batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trailergenre.base.errors import StorageError
from trailergenre.base.records import LinkFrames, TruthArray
from trailergenre.base.storage import Store
from trailergenre.models.pooling import iter_links, select_span
from trailergenre.runs import tables

LabelledFrames = tuple[LinkFrames, NDArray[np.int8]]
"""A link's frames and its true genres, shape (n_genres,), int8, 0 or 1."""


class Source(Protocol):
    """Links that can be streamed again and again."""

    def stream(self, seed: int) -> Iterator[LabelledFrames]:
        """Give every link once, in an order that the seed decides."""


@dataclass(frozen=True)
class FeatureSource:
    """Links of a run's features table; one features file is in memory at a time.

    Attributes:
        store: the run.
        outcomes: from `tables.read_outcomes`.
        link_ids: the links wanted, without repeats.
        truth: shape (n_links, n_genres), int8; row i belongs to link_ids[i].
        span: which frames of a video are used; the scorer's must be the same.
    """

    store: Store
    outcomes: pa.Table
    link_ids: Sequence[str]
    truth: TruthArray
    span: Literal["whole", "middle"] = "whole"

    def stream(self, seed: int) -> Iterator[LabelledFrames]:
        """Give every link once, file by file; the seed decides the order of the files.

        Raises:
            StorageError: a file or a link is gone, or a value is not finite.
        """
        truth_of = dict(zip(self.link_ids, self.truth, strict=True))
        current = tables.filter_links(self.outcomes, self.link_ids)
        files = tables.feature_files(current)
        found = 0
        for place in np.random.default_rng(seed).permutation(len(files)):
            named = current.filter(pc.equal(current["features_file"], files[place]))
            # Read to its end, so that the reader lets go of its copies of the file.
            links = [link for part in iter_links(self.store, named) for link in part]
            # Arrow keeps for itself what it has freed: 200 MB and more.
            pa.default_memory_pool().release_unused()
            found += len(links)
            while links:
                link = select_span(links.pop(), self.span)
                if not np.isfinite(link.features).all():
                    raise self._broken(f"of {link.link_id} are not all finite")
                yield link, truth_of[link.link_id]
        if found != len(truth_of):
            raise self._broken(f"of {len(truth_of)} links were to be read; {found} were found")

    def _broken(self, reason: str) -> StorageError:
        return StorageError(f"Features {reason}. Check the run: trailergenre verify {self.store}")
