"""Images in a DataFrame to features, for users' own tables: one Arrow UDF over raw pixels.

Jobs do not use it: they move no frame through a column (`docs/decisions/0016-kept-frames.md`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import SchemaError
from trailergenre.base.records import FrameArray, FrameForm
from trailergenre.features.backbone import Embedder, load_embedder
from trailergenre.spark.gpu_resources import granted_address
from trailergenre.spark.versions import arrow_function


def embed_images(config: BackboneConfig) -> Callable[[str | Column], Column]:
    """Make a function from a `binary` column to `array<float>`: the features of each image.

    An image is as many bytes as a frame of the network: rows of pixels from the top, each red,
    green, blue; 268,203 bytes for the 299 x 299 pixels of Inception-V3, with 2,048 features.
    A null gives a null. Keep `spark.sql.execution.arrow.maxBytesPerBatch` at 64 MB as in `conf/`: a
    batch of 10,000 rows, Spark's other limit, would take 2.7 GB. Each worker loads the network
    once, from a path that all of them must see.
    """

    def embed(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        address = granted_address() if config.device == "gpu" else None
        embedder = load_once(config, address)
        return (_embed_batch(images, embedder) for images in batches)

    return arrow_function(embed, "array<float>", argument=pa.binary())


@functools.cache
def load_once(config: BackboneConfig, address: str | None) -> Embedder:
    """Load the network once per Python worker."""
    return load_embedder(config, address=address)


def decode_images(images: pa.Array, form: FrameForm) -> FrameArray:
    """Read the raw pixels of a column of bytes.

    Returns:
        Shape (n, height, width, 3), uint8, RGB; row i is the i-th image that is not null.
    """
    images = images.drop_null()
    lengths = set(pc.unique(pc.binary_length(images)).to_pylist()) - {form.n_bytes}
    if lengths:
        raise SchemaError(
            f"An image is {form.n_bytes} bytes: {form} pixels, RGB, row by row from the top. "
            f"Received: {', '.join(str(length) for length in sorted(lengths)[:5])} bytes."
        )
    pixels = np.frombuffer(b"".join(images.to_pylist()), np.uint8)
    return pixels.reshape(len(images), *form.shape)


def _embed_batch(images: pa.Array, embedder: Embedder) -> pa.Array:
    features = embedder.embed(decode_images(images, embedder.manifest.input))
    is_valid = images.is_valid().to_numpy(zero_copy_only=False)
    ends = np.cumsum(is_valid, dtype=np.int32) * features.shape[1]
    offsets = pa.array(np.concatenate([np.zeros(1, np.int32), ends]))
    return pa.ListArray.from_arrays(offsets, pa.array(features.ravel()), mask=pa.array(~is_valid))
