"""The tables of a run as Spark DataFrames, with the schemas of `trailergenre.schemas`."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema

from trailergenre import schemas
from trailergenre.outcomes import Outcome
from trailergenre.storage import Store


def spark_schema(name: str) -> T.StructType:
    """The schema of a table as Spark writes it."""
    plain = [
        field.with_type(pa.list_(field.type.value_type))
        if pa.types.is_fixed_size_list(field.type)
        else field
        for field in schemas.TABLES[name]
    ]
    return from_arrow_schema(pa.schema(plain))


def read_table(spark: SparkSession, store: Store, name: str) -> DataFrame:
    """Read one table of a run."""
    return spark.read.schema(spark_schema(name)).parquet(store.spark_path(name))


def read_outcomes(spark: SparkSession, store: Store, fingerprint: str) -> DataFrame:
    """Read the current outcome of every finished link; the rule of `tables.read_outcomes`."""
    rows = spark.read.schema(spark_schema("outcomes")).parquet(
        store.spark_path(f"outcomes/{fingerprint}")
    )
    rank = (
        F.when(F.col("outcome") == Outcome.OK.value, 0)
        .when(F.col("outcome") == Outcome.DEFERRED.value, 2)
        .otherwise(1)
    )
    newest = Window.partitionBy("link_id").orderBy(rank, "finished_at", "_file")
    return (
        rows.withColumn("_file", F.col("_metadata.file_name"))
        .withColumn("_place", F.row_number().over(newest))
        .where(F.col("_place") == 1)
        .select(*schemas.OUTCOMES.names)
    )


def read_features(spark: SparkSession, store: Store, fingerprint: str) -> DataFrame:
    """Read the features that current `ok` outcomes name; strays are not reached."""
    directory = f"features/{fingerprint}"
    reached = (
        read_outcomes(spark, store, fingerprint)
        .where(F.col("outcome") == Outcome.OK.value)
        .select("link_id", "commit", "features_file")
    )
    rows = (
        spark.read.schema(spark_schema("features"))
        .parquet(store.spark_path(directory))
        .withColumn("features_file", F.concat(F.lit(f"{directory}/"), F.col("_metadata.file_name")))
    )
    keys = ["link_id", "commit", "features_file"]
    return rows.join(reached, on=keys, how="left_semi").select(*schemas.FEATURES.names)
