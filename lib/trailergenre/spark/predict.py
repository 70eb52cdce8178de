"""Scores of links to the scores table, on the cluster. What a score is: `bundle`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.runs import schemas
from trailergenre.spark.feature_files import from_lists


def rank_genres(scores: DataFrame, genres: tuple[str, ...]) -> DataFrame:
    """Lay out scores one genre a row.

    Args:
        scores: link_id, probabilities.
        genres: of the bundle, in its order.

    Returns:
        link_id, genre, probability, rank: one row a link and genre.
    """

    def rank(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            probabilities = from_lists(batch.column("probabilities"))
            yield to_scores(batch.column("link_id").to_pylist(), probabilities, genres)

    return scores.mapInArrow(rank, from_arrow_schema(schemas.SCORES))


def to_scores(
    link_ids: list[str], probabilities: ProbabilityArray, genres: tuple[str, ...]
) -> pa.RecordBatch:
    """Give every link one row a genre, its rank from 1; ties go to the genre with more movies."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, len(genres) + 1)[None, :], axis=1)
    columns = [
        pa.array(np.repeat(np.array(link_ids, dtype=object), len(genres)), pa.string()),
        pa.array(list(genres) * len(link_ids), pa.string()),
        pa.array(probabilities.ravel()),
        pa.array(ranks.ravel().astype(np.int32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schemas.SCORES)


def write_scores(scores: DataFrame, store: Store) -> None:
    """Replace the scores table of a run."""
    scores.write.mode("overwrite").parquet(store.spark_path("scores"))
