"""udf: a DataFrame of images through the Arrow UDF, and what its Python workers take for it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from speed.findings import Finding, Findings
from speed.inputs import Inputs
from speed.machine import CORES
from speed.memory import watch_workers
from speed.stage import local_session
from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import INCEPTION_V3_FRAME, INCEPTION_V3_WIDTH
from trailergenre.spark.image_udf import embed_images

_GROUP = 100
"""Images of a row group: 27 MB."""
PEAK_GB = 1.2
"""What a worker may take: 0.5 for the network, and batches of 64 MB on their way in and out."""


def measure_udf(inputs: Inputs, wanted: Collection[str], *, n_images: int = 2000) -> Findings:
    """Embed a table of images once and watch the workers.

    Args:
        inputs: where the network comes from.
        wanted: udf.
        n_images: rows.
    """
    directory = inputs.directory("images")
    _write_images(directory, n_images)
    config = BackboneConfig(path=str(inputs.fp32))
    with local_session() as spark:
        images = spark.read.parquet(directory.as_uri())
        features = images.select(embed_images(config)("image").alias("features"))
        with watch_workers() as memory:
            widths = features.groupBy(F.size("features").alias("width")).count().collect()
    counts = {row["width"]: row["count"] for row in widths}
    if counts != {INCEPTION_V3_WIDTH: n_images}:
        raise ConfigError(
            f"{n_images} features of {INCEPTION_V3_WIDTH} were to come. Received: {counts}."
        )
    peaks = [round(size / 1e9, 3) for size in memory.peak_bytes.values()]
    what = f"{n_images} images through the UDF, fp32: peak GB of a Python worker"
    return {
        "udf": Finding(what, [max(peaks)], PEAK_GB, PEAK_GB, is_least=False,
                       figures={"peak_gb": peaks, "growth": memory.growth()})
    }  # fmt: skip


def _write_images(directory: Path, n_images: int) -> None:
    """A file a core; each image in one colour under stripes, so that the files stay small."""
    stripes = np.arange(INCEPTION_V3_FRAME.height, dtype=np.uint8)[:, None, None]
    schema = pa.schema([("image", pa.binary())])
    for part in range(CORES):
        with pq.ParquetWriter(directory / f"{part}.parquet", schema, compression="zstd") as writer:
            for start in range(part, n_images, CORES * _GROUP):
                numbers = range(start, min(n_images, start + CORES * _GROUP), CORES)
                images = []
                for number in numbers:
                    colour = np.array([number, number // 7, number // 49], np.uint64)
                    rows = colour.astype(np.uint8) + stripes
                    images.append(np.broadcast_to(rows, INCEPTION_V3_FRAME.shape).tobytes())
                writer.write_table(pa.table({"image": images}, schema=schema))
