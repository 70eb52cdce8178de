"""Unpacks features that Spark's MongoDB connector reads, for users (`docs/mongodb.md`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from trailergenre.base.errors import SchemaError
from trailergenre.spark.versions import arrow_function

_FLOAT32 = b"\x27\x00"
"""Header of a BSON vector: the type float32, no padding."""


def unpack_features(documents: DataFrame) -> DataFrame:
    """Convert the `binary` column `features` of frames or trailers to `array<float>`."""
    unpack = arrow_function(_unpack_all, "array<float>", argument=pa.binary())
    return documents.withColumn("features", unpack("features"))


def _unpack_all(columns: Iterator[pa.Array]) -> Iterator[pa.Array]:
    return map(_unpack, columns)


def _unpack(packed: pa.Array) -> pa.Array:
    vectors = []
    for value in packed.to_pylist():
        if value is not None and value[:2] != _FLOAT32:
            raise SchemaError(
                "A document's features must be a BSON vector of float32, which begins with the "
                f"bytes 27 00. Received: {value[:2].hex(' ')}."
            )
        vectors.append(None if value is None else np.frombuffer(value, "<f4", offset=2))
    return pa.array(vectors, pa.list_(pa.float32()))
