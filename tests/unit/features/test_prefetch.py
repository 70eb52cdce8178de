from __future__ import annotations

from collections.abc import Generator

import pytest

from trailergenre.features.prefetch import Prefetch


def test_values_come_in_order() -> None:
    with Prefetch((n for n in range(50)), depth=2) as values:
        assert list(values) == list(range(50))


def test_error_of_the_source_comes_out_after_its_values() -> None:
    def source() -> Generator[int]:
        yield 1
        raise OSError("disk full")

    received = []
    with Prefetch(source(), depth=4) as values, pytest.raises(OSError, match="disk full"):
        for value in values:
            received.append(value)
    assert received == [1]


def test_leaving_early_closes_the_source() -> None:
    closed = []

    def source() -> Generator[int]:
        try:
            for n in range(1_000_000):
                yield n
        finally:
            closed.append(n)

    with Prefetch(source(), depth=2) as values:
        assert next(iter(values)) == 0
    assert closed
    assert closed[0] < 10
