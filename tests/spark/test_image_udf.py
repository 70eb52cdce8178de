from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ClusterError, SchemaError
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.features.backbone import load_embedder
from trailergenre.spark.image_udf import decode_images, embed_images
from trailergenre.spark.session import worker_failures

N_IMAGES = 2000
PEAK_BYTES = 600_000_000
"""Of a Python worker; 420 MB were measured, of which batches of 64 MB, in and out, are the most."""


def image_maker() -> Callable[[int], bytes]:
    """A function that travels to workers, which have no tests; another picture for each number."""

    def make(number: int) -> bytes:
        pixels = np.arange(FORM.n_bytes, dtype=np.uint32) * (number + 1) >> 8
        return pixels.astype(np.uint8).tobytes()

    return make


image = image_maker()


def python_workers() -> list[psutil.Process]:
    """Spark's Python workers; each was forked by Spark's daemon."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "pyspark.daemon" in process.parent().cmdline()
    ]


def peak_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@pytest.mark.slow
def test_two_thousand_images_give_the_networks_own_features_within_bounded_memory(
    spark: SparkSession, tiny_backbone: Path
) -> None:
    config = BackboneConfig(path=str(tiny_backbone))

    def make(batches: object) -> object:
        for batch in batches:  # type: ignore[attr-defined]
            for number in batch["id"].to_pylist():
                yield pa.RecordBatch.from_pydict({"number": [number], "image": [image(number)]})

    spark.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", 64 << 20)
    images = spark.range(0, N_IMAGES, 1, 2).mapInArrow(make, "number long, image binary")  # type: ignore[arg-type]
    embedded = images.select("number", embed_images(config)("image").alias("features"))
    for worker in python_workers():
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # its peak counts from now
    rows = embedded.toArrow()
    assert rows["number"].to_pylist() == list(range(N_IMAGES))
    peaks = [peak_bytes(worker) for worker in python_workers()]
    assert max(peaks) < PEAK_BYTES
    embedder = load_embedder(config)
    for number in (0, 239, 240, 999, 1000, 1999):
        frames = np.frombuffer(image(number), np.uint8).reshape(1, 299, 299, 3)
        expected = embedder.embed(frames)[0]
        np.testing.assert_array_equal(rows["features"][number].as_py(), expected)


def test_nulls_stay_nulls_and_a_wrong_length_is_named(
    spark: SparkSession, tiny_backbone: Path
) -> None:
    embed = embed_images(BackboneConfig(path=str(tiny_backbone)))
    some = spark.createDataFrame([(None,), (image(3),), (None,)], "image binary").coalesce(1)
    features = [row[0] for row in some.select(embed("image")).collect()]
    assert [one if one is None else len(one) for one in features] == [None, 2048, None]
    short = spark.createDataFrame([(image(3),), (image(3)[:-1],)], "image binary")
    with pytest.raises(ClusterError, match="Received: 268202 bytes"), worker_failures():
        short.select(embed("image")).collect()


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_part_of_a_column_behind_a_null_is_read_at_its_place(kind: pa.DataType) -> None:
    column = pa.array([None, image(0), image(1), image(2)], kind)
    for start in (1, 2, 3):
        frames = decode_images(column.slice(start, 1), FORM)
        assert [frame.tobytes() for frame in frames] == [image(start - 1)]
    assert [frame.tobytes() for frame in decode_images(column[1:], FORM)] == [
        image(n) for n in range(3)
    ]


def test_a_part_of_a_column_is_read_at_its_place() -> None:
    column = pa.array([image(0), image(1), None, image(2)])
    frames = decode_images(column[1:], FORM)
    assert [frame.tobytes() for frame in frames] == [image(1), image(2)]
    assert decode_images(column[:0], FORM).shape == (0, 299, 299, 3)
    with pytest.raises(SchemaError, match="268203 bytes: 299 x 299"):
        decode_images(pa.array([b"", b"x"]), FORM)
