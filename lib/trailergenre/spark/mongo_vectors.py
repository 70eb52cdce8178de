"""Unpacks features that Spark's MongoDB connector reads, for users (`docs/mongodb.md`)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from trailergenre.base.errors import SchemaError

_FLOAT32 = b"\x27\x00"
"""Header of a BSON vector: the type float32, no padding."""


def unpack_features(documents: DataFrame) -> DataFrame:
    """Convert the `binary` column `features` of frames or trailers to `array<float>`."""
    # Spark infers the kind of function from annotations that its stubs do not describe.
    unpack = arrow_udf(_unpack, "array<float>")  # type: ignore[call-overload]
    return documents.withColumn("features", unpack(F.col("features")))


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
