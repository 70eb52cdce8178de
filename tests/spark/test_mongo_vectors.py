from __future__ import annotations

import numpy as np
import pytest
from bson.binary import Binary, BinaryVectorDtype
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from trailergenre.spark.mongo_vectors import unpack_features


def packed(values: list[float], dtype: BinaryVectorDtype = BinaryVectorDtype.FLOAT32) -> bytes:
    return bytes(Binary.from_vector(values, dtype))


def test_packed_features_become_the_same_floats_and_the_rest_stays(spark: SparkSession) -> None:
    values = np.linspace(-3, 3, 2048, dtype=np.float32)
    rows = [("a", packed(values.tolist())), ("b", None), ("c", packed([0.5, -0.0]))]
    documents = spark.createDataFrame(rows, "_id string, features binary")
    unpacked = unpack_features(documents)
    assert dict(unpacked.dtypes) == {"_id": "string", "features": "array<float>"}
    received = {row["_id"]: row["features"] for row in unpacked.collect()}
    assert np.array_equal(np.array(received["a"], np.float32), values)
    assert received["b"] is None
    assert str(received["c"]) == "[0.5, -0.0]"


@pytest.mark.parametrize("features", [b"", b"\x03\x00\x01", b"\x27\x01\x00\x00\x00\x00"])
def test_another_kind_of_vector_is_refused(spark: SparkSession, features: bytes) -> None:
    documents = spark.createDataFrame([(features,)], "features binary")
    with pytest.raises(PythonException, match=r"SchemaError.*begins with the bytes 27 00"):
        unpack_features(documents).collect()
