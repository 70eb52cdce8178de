"""What a version of Spark lacks, and the way that is used there. Nothing else asks for a version.

| | since | before |
|---|---|---|
| `DataFrame.toArrow`, `createDataFrame(pa.Table)` | 4.0 | batches as bytes, through `mapInArrow` |
| `mapInArrow(profile=)` | 4.0 | `RDD.withResources` |
| `arrow_udf` | 4.1 | `pandas_udf` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd
import pyarrow as pa
import pyspark
from pyspark.resource import ResourceProfile
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql.pandas import functions
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from trailergenre.base.versions import parse_release

SPARK = parse_release(pyspark.__version__)

MapBatches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
MapColumns = Callable[[Iterator[pa.Array]], Iterator[pa.Array]]

_BATCH_ROWS = 1024
"""As `spark.sql.execution.arrow.maxRecordsPerBatch` in `conf/`."""


def to_arrow(frame: DataFrame) -> pa.Table:
    """Collect a DataFrame."""
    if SPARK >= (4,):
        return frame.toArrow()
    rows = frame.mapInArrow(_pack, "batch binary").collect()
    batches = [batch for row in rows for batch in _read(row["batch"])]
    return pa.Table.from_batches(batches, None if batches else to_arrow_schema(frame.schema))


def from_arrow(spark: SparkSession, table: pa.Table) -> DataFrame:
    """Make a DataFrame of a table."""
    if SPARK >= (4,):
        return spark.createDataFrame(table)
    schema = from_arrow_schema(table.schema)
    table = table.cast(to_arrow_schema(schema))
    rows = [(_write(batch),) for batch in table.to_batches(_BATCH_ROWS)]
    return spark.createDataFrame(rows, "batch binary").mapInArrow(_unpack, schema)


def map_and_collect(
    frame: DataFrame, function: MapBatches, schema: str, profile: ResourceProfile | None
) -> list[Row]:
    """Collect what a function makes of the batches, in tasks of a profile."""
    if profile is None:
        return frame.mapInArrow(function, schema).collect()
    if SPARK >= (4,):
        return frame.mapInArrow(function, schema, profile=profile).collect()
    return frame.mapInArrow(function, schema).rdd.withResources(profile).collect()


def arrow_function(
    function: MapColumns, result: str, *, argument: pa.DataType
) -> Callable[[str | Column], Column]:
    """Make a function of a column from one of its batches; both types are the columns'."""

    def with_arrays(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return function(batches)

    def with_series(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        columns = function(pa.array(batch, argument) for batch in batches)
        return (column.to_pandas() for column in columns)

    # Spark infers the kind of function from annotations that its stubs do not describe.
    if SPARK >= (4, 1):
        return functions.arrow_udf(with_arrays, result)  # type: ignore[no-any-return, call-overload]
    return functions.pandas_udf(with_series, result)  # type: ignore[no-any-return, call-overload]


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"batch": pa.array([_write(batch)], pa.binary())})


def _unpack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for content in batch.column("batch").to_pylist():
            yield from _read(content)


def _write(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _read(content: bytes) -> list[pa.RecordBatch]:
    with pa.ipc.open_stream(content) as reader:
        return list(reader)
