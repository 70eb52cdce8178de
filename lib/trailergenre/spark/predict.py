"""Writes the scores of links to the table of scores, one row per link and genre."""

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


def write_scores(scores: DataFrame, genres: tuple[str, ...], store: Store) -> None:
    """Replace the scores of a run, given link_id and probabilities, in the order of `genres`."""

    def rank(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            probabilities = from_lists(batch.column("probabilities"))
            yield rank_genres(batch.column("link_id").to_pylist(), probabilities, genres)

    ranked = scores.mapInArrow(rank, from_arrow_schema(schemas.SCORES))
    ranked.write.mode("overwrite").parquet(store.spark_path("scores"))


def rank_genres(
    link_ids: list[str], probabilities: ProbabilityArray, genres: tuple[str, ...]
) -> pa.RecordBatch:
    """Give every link one row per genre, ranked from 1; ties go to the genre with more movies."""
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
