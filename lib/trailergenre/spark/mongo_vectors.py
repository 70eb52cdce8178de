"""Packed features of documents, as Spark's MongoDB connector reads them, to arrays of floats.

For users' own notebooks and jobs (`docs/mongodb.md`); knows nothing of the connector.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from trailergenre.base.errors import SchemaError

_FLOAT32 = b"\x27\x00"
"""How a BSON vector of float32 begins: its type, and no padding."""


def unpack_features(documents: DataFrame) -> DataFrame:
    """Make the packed `features` of documents that Spark's connector read `array<float>`.

    Args:
        documents: with a `binary` column `features`, of frames or of trailers; a null stays one.
    """
    # Spark reads the kind of function from its annotations, which its stubs do not know.
    unpack = arrow_udf(_unpack, "array<float>")  # type: ignore[call-overload]
    return documents.withColumn("features", unpack(F.col("features")))


def _unpack(packed: pa.Array) -> pa.Array:
    vectors = [None if value is None else _to_floats(value) for value in packed.to_pylist()]
    return pa.array(vectors, pa.list_(pa.float32()))


def _to_floats(packed: bytes) -> NDArray[np.float32]:
    if packed[:2] != _FLOAT32:
        raise SchemaError(
            "A document's features are a BSON vector of float32, which begins with the bytes 27 "
            f"00. Received: {packed[:2].hex(' ')}."
        )
    return np.frombuffer(packed, "<f4", offset=2)
