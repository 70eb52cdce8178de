"""What is sent to the workers passes the stream that Spark encrypts."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from pyspark.serializers import ChunkedStream

from trailergenre.spark.training.broadcasts import InBand

LARGE = np.arange(100_000, dtype=np.float32)  # pickle frames have 64 KiB


class Content(io.BytesIO):
    """Keeps what was written when it is closed."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def test_a_large_array_passes_an_encrypted_broadcast() -> None:
    content = Content()
    stream = ChunkedStream(content, 8192)
    pickle.dump(InBand({"rows": LARGE}), stream, 5)
    stream.close()
    data, pickled = content.kept, b""
    while (size := int.from_bytes(data[:4], signed=True)) != -1:
        pickled, data = pickled + data[4 : 4 + size], data[4 + size :]
    assert np.array_equal(pickle.loads(pickled)["rows"], LARGE)


def test_spark_cannot_write_it_by_itself() -> None:
    with pytest.raises(TypeError, match="PickleBuffer"):
        pickle.dump(LARGE, ChunkedStream(io.BytesIO(), 8192), 5)
