"""The training data of a temporal head: a run's links with their truth, file by file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre.base.errors import StorageError
from trailergenre.base.records import LinkFrames, TruthArray
from trailergenre.base.storage import Store
from trailergenre.models.pooling import iter_links, select_span
from trailergenre.models.training_set import check_all_read
from trailergenre.runs import features_table, tables

LabelledFrames = tuple[LinkFrames, NDArray[np.int8]]
"""A link's frames and its true genres, shape (n_genres,), int8, 0 or 1."""


class Source(Protocol):
    """Links that can be streamed repeatedly."""

    def stream(self, seed: int) -> Iterator[LabelledFrames]:
        """Yield every link once, in an order that the seed decides."""


@dataclass(frozen=True)
class FeatureSource:
    """Links of a run's features table; one features file is in memory at a time.

    Every epoch streams them again: `copy` is a store on this machine that keeps the files of the
    first time, for a run that is elsewhere.
    """

    store: Store
    outcomes: pa.Table  # from `outcomes_table.read_outcomes`
    link_ids: Sequence[str]  # without repeats
    truth: TruthArray  # row i belongs to link_ids[i]
    span: Literal["whole", "middle"] = "whole"  # the scorer's must be the same
    copy: Store | None = None

    def stream(self, seed: int) -> Iterator[LabelledFrames]:
        """Yield every link once, file by file, the files in random order.

        Raises:
            StorageError: a file or a link is missing, or a value is not finite.
        """
        truth_of = dict(zip(self.link_ids, self.truth, strict=True))
        files = features_table.group_by_file(tables.filter_links(self.outcomes, self.link_ids))
        n_read = 0
        for place in np.random.default_rng(seed).permutation(len(files)):
            (file,) = files.slice(place, 1).to_pylist()
            store = self._store_of(file["features_file"])
            # Exhausted, so that the reader frees its copies of the file.
            of_file = features_table.rows_of_file(file)
            links = [link for batch in iter_links(store, of_file) for link in batch]
            # Arrow's pool would keep 200 MB and more.
            pa.default_memory_pool().release_unused()
            n_read += len(links)
            while links:
                link = select_span(links.pop(), self.span)
                if not np.isfinite(link.features).all():
                    raise StorageError(
                        f"Features of {link.link_id} are not all finite. "
                        f"Check the run: trailergenre verify {self.store}"
                    )
                yield link, truth_of[link.link_id]
        check_all_read(self.store, wanted=len(truth_of), read=n_read)

    def _store_of(self, path: str) -> Store:
        """Where to read a features file: in the copy, once it is there."""
        if self.copy is None:
            return self.store
        if not self.copy.exists(path):
            content = self.store.read_bytes(path)
            if hashlib.sha256(content).hexdigest() != PurePosixPath(path).stem:
                return self.store  # where its reader says what is wrong
            self.copy.write_bytes(path, content)
        return self.copy
