"""A job that does once what the tests' jobs do with Spark, for `jvms.py`; given a directory."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import RandomForestRegressor
from pyspark.sql import SparkSession


def pass_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def main(directory: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    numbers = spark.createDataFrame(
        [(float(k), float(k % 2)) for k in range(40)], "x double, y double"
    )
    numbers.mapInArrow(pass_on, numbers.schema).write.parquet(f"{directory}/numbers")
    rows = VectorAssembler(inputCols=["x"], outputCol="features").transform(
        spark.read.parquet(f"{directory}/numbers")
    )
    forest = RandomForestRegressor(labelCol="y", numTrees=2, maxDepth=2).fit(rows)
    forest.write().save(f"{directory}/forest")
    spark.sparkContext.parallelize([1, 2], 2).map(str).collect()
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
