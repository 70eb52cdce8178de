from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.features.backbone.embedder import FixedBatches
from trailergenre.features.backbone.spec import INCEPTION_V3


def number_rows(frames: np.ndarray) -> np.ndarray:
    """A network that gives each frame's first pixel as all of its features."""
    return np.repeat(frames[:, 0, 0, :1], 2048, axis=1).astype(np.float32)


class LimitedMemory:
    """A network that takes `limit` frames at most; counts what was asked of it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sizes: list[int] = []

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        self.sizes.append(len(frames))
        if len(frames) > self.limit:
            raise MemoryError(f"{len(frames)} frames")
        return number_rows(frames)


def numbered(n: int) -> np.ndarray:
    frames = np.zeros((n, 299, 299, 3), np.uint8)
    frames[:, 0, 0, 0] = range(n)
    return frames


def test_every_batch_has_one_size_and_rows_stay_in_order() -> None:
    network = LimitedMemory(100)
    features = FixedBatches(network, INCEPTION_V3, size=4, in_flight=2).embed(numbered(11))
    assert network.sizes == [4, 4, 4]
    assert features.shape == (11, 2048)
    assert features[:, 0].tolist() == list(range(11))


def test_a_batch_is_begun_while_another_is_computed() -> None:
    both = threading.Barrier(2, timeout=60)

    def wait_for_another(frames: np.ndarray) -> np.ndarray:
        both.wait()
        return number_rows(frames)

    features = FixedBatches(wait_for_another, INCEPTION_V3, size=2, in_flight=2).embed(numbered(8))
    assert features[:, 0].tolist() == list(range(8))


def test_out_of_memory_halves_the_batch_until_it_fits_and_says_each_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = LimitedMemory(3)
    batches = FixedBatches(network, INCEPTION_V3, size=16, in_flight=1)
    with caplog.at_level(logging.WARNING):
        assert batches.embed(numbered(7))[:, 0].tolist() == list(range(7))
        assert batches.embed(numbered(5))[:, 0].tolist() == list(range(5))
    said = [record.getMessage().split(":")[0] for record in caplog.records]
    assert said == [
        f"the device is out of memory; from now on {n} frames per batch" for n in (8, 4, 2)
    ]
    # Remembered: the second call, of three batches, begins with what fitted.
    assert network.sizes[-3:] == [2, 2, 2]
    assert network.sizes.count(4) <= 2


def test_memory_that_does_not_hold_one_frame_is_a_clear_error() -> None:
    with pytest.raises(
        ConfigError,
        match="do not fit into the device's memory: 1 frames",
    ):
        FixedBatches(LimitedMemory(0), INCEPTION_V3, size=8, in_flight=2).embed(numbered(9))


def test_other_errors_are_not_taken_for_memory() -> None:
    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="700"):
        FixedBatches(fail, INCEPTION_V3, size=8, in_flight=2).embed(numbered(9))


def test_nothing_runs_any_more_when_the_smaller_batch_is_tried() -> None:
    begun, ended = threading.Event(), threading.Event()
    seen: list[bool] = []

    def run(frames: np.ndarray) -> np.ndarray:
        if len(frames) == 2:
            seen.append(ended.is_set())
        elif frames[0, 0, 0, 0] == 0:
            assert begun.wait(60)
            raise MemoryError("the first of two")
        else:
            begun.set()
            time.sleep(0.2)
            ended.set()
        return number_rows(frames)

    FixedBatches(run, INCEPTION_V3, size=4, in_flight=2).embed(numbered(8))
    assert seen == [True] * 4
