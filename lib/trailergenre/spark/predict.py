"""Writes the scores of links to the table of scores, one row per link and genre."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.models.manifest import Manifest
from trailergenre.runs import schemas
from trailergenre.spark.feature_files import from_lists

_OF_LINKS = ("row", "url", "title", "other")
_RANKED = pa.schema([field for field in schemas.SCORES if field.name not in _OF_LINKS])


def write_scores(scores: DataFrame, manifest: Manifest, store: Store) -> None:
    """Replace the scores of a run, given link_id and probabilities by the model of `manifest`."""
    genres, thresholds = manifest.genres, np.array(manifest.thresholds)

    def rank(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            probabilities = from_lists(batch.column("probabilities"))
            link_ids = batch.column("link_id").to_pylist()
            yield rank_genres(link_ids, probabilities, genres, thresholds)

    links = scores.sparkSession.read.parquet(store.spark_path("links"))
    ready = links.filter(links["row_outcome"] == RowOutcome.READY.value)
    ranked = scores.mapInArrow(rank, from_arrow_schema(_RANKED)).join(
        ready.select("link_id", *_OF_LINKS), "link_id"
    )
    ranked.write.mode("overwrite").parquet(store.spark_path("scores"))


def rank_genres(
    link_ids: list[str],
    probabilities: ProbabilityArray,
    genres: tuple[str, ...],
    thresholds: NDArray[np.float64],
) -> pa.RecordBatch:
    """Give every link one row per genre, ranked from 1; ties go to the genre with more movies."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, len(genres) + 1)[None, :], axis=1)
    columns = [
        pa.array(np.repeat(np.array(link_ids, dtype=object), len(genres)), pa.string()),
        pa.array(list(genres) * len(link_ids), pa.string()),
        pa.array(probabilities.ravel()),
        pa.array(np.tile(thresholds, len(link_ids))),
        pa.array((probabilities >= thresholds).ravel()),
        pa.array(ranks.ravel().astype(np.int32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_RANKED)
