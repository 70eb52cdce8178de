"""Writes the scores of links to the table of scores, one row per link and genre."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.models.manifest import Manifest
from trailergenre.runs import schemas, tables
from trailergenre.spark.feature_files import from_lists
from trailergenre.spark.versions import from_arrow, to_arrow

_OF_LINKS = ("row", "url", "title", "other")
_ROWS_PER_FILE = 1 << 20
"""Of the table, 20 to 30 MB; a task writes one file."""


def write_scores(scores: DataFrame, links: pa.Table, manifest: Manifest, store: Store) -> int:
    """Replace the scores of a run, and return the number of scored links.

    Args:
        scores: link_id and probabilities by the model of `manifest`.
        links: rows of the table `links`, one per link that may have scores.
        manifest: of the bundle.
        store: the run. Until all tasks have written, its scores are the old ones.
    """
    genres, thresholds = manifest.genres, np.array(manifest.thresholds)

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sink, n_links = pa.BufferOutputStream(), 0
        with pq.ParquetWriter(sink, schemas.SCORES, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(rank_genres(batch, genres, thresholds))
                n_links += len(batch)
        if n_links:
            path = store.write_content_addressed("scores", sink.getvalue(), ".parquet")
            yield pa.RecordBatch.from_pydict({"path": [path], "links": [n_links]})

    listed = from_arrow(scores.sparkSession, links.select(["link_id", *_OF_LINKS]))
    n_files = max(1, len(links) * len(genres) // _ROWS_PER_FILE)
    rows = scores.join(listed, "link_id").repartition(n_files, "link_id")
    # In order, so that a task that is tried again writes the same file.
    written = rows.sortWithinPartitions("row").mapInArrow(write, "path string, links long")
    files = to_arrow(written).to_pylist()
    tables.replace_files(store, "scores", [file["path"] for file in files])
    return sum(file["links"] for file in files)


def rank_genres(
    links: pa.RecordBatch, genres: tuple[str, ...], thresholds: NDArray[np.float64]
) -> pa.RecordBatch:
    """Give every link one row per genre, ranked from 1; ties go to the genre with more movies.

    `links` has a row per link: link_id, probabilities and the columns of the table `links`.
    """
    probabilities: ProbabilityArray = from_lists(links.column("probabilities"))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, len(genres) + 1)[None, :], axis=1)
    repeated = pa.array(np.repeat(np.arange(len(links)), len(genres)))
    columns = {
        "link_id": links.column("link_id").take(repeated),
        "genre": pa.array(list(genres) * len(links), pa.string()),
        "probability": pa.array(probabilities.ravel()),
        "threshold": pa.array(np.tile(thresholds, len(links))),
        "is_predicted": pa.array((probabilities >= thresholds).ravel()),
        "rank": pa.array(ranks.ravel().astype(np.int32)),
        **{name: links.column(name).take(repeated) for name in _OF_LINKS},
    }
    return pa.RecordBatch.from_pydict(columns, schema=schemas.SCORES)
