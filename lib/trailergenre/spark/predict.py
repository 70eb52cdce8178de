"""Pooled rows and a bundle to the scores table, on the cluster. What a score is: `bundle`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from trailergenre import schemas
from trailergenre.bundle import Bundle
from trailergenre.records import ProbabilityArray
from trailergenre.spark.pooling import from_batch
from trailergenre.storage import Store


def score_links(pooled: DataFrame, bundle: Bundle) -> DataFrame:
    """Score every link for every genre of the bundle.

    Args:
        pooled: link_id, pooled.
        bundle: the model; its forest is sent to each worker once.

    Returns:
        link_id, genre, probability, rank: one row a link and genre.
    """
    genres = bundle.manifest.genres
    forest = pooled.sparkSession.sparkContext.broadcast(bundle.forest)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            link_ids, rows = from_batch(batch)
            yield to_scores(link_ids, forest.value.predict_proba(rows), genres)

    return pooled.select("link_id", "pooled").mapInArrow(score, from_arrow_schema(schemas.SCORES))


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
