"""Small files that would unpack to gigabytes: refused, and at no time is much memory used."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bombs import MEGABYTE, assert_is_refused, parquet, repeated

pytestmark = pytest.mark.slow


def packed(first: str, then: str, times: int) -> bytes:
    """A gzip file of several members."""
    return gzip.compress(first.encode()) + gzip.compress(then.encode()) * times


def wide_csv() -> bytes:
    """A short line becomes a row of 3,000 cells."""
    names = ",".join(f"c{number}" for number in range(3000))
    return f"url,{names}\n".encode() + b"a\n" * 20_000


def short_lines() -> bytes:
    return packed("url,genres\n", "a,b\n" * 1_000_000, 12)


def short_links() -> bytes:
    return packed("https://a\n", "\n" * 10_000_000, 6)


def wide_characters() -> bytes:
    """One character that takes 4 bytes makes all others take as much."""
    return packed("url,title\na,\N{FILM FRAMES}", "a" * 10_000_000, 16)


def unpacks_to_too_much() -> bytes:
    return packed("url\n", "a" * 10_000_000, 1000)


def json_of_columns() -> bytes:
    """Each object has a column of its own."""
    return json.dumps([{"url": "a", f"c{number}": 1} for number in range(9000)]).encode()


def json_of_objects() -> bytes:
    return b"[" + b"{}," * 5_000_000 + b"{}]"


def json_of_lists() -> bytes:
    return packed("[[]", ",[]" * 1_000_000, 12)


def json_lines() -> bytes:
    return b'{"url": "a"}\n' + b"1\n" * 3_000_000


def parquet_of_one_value() -> bytes:
    return parquet(pa.table({"url": repeated(MEGABYTE, 100_000)}), store_schema=False)


def parquet_of_one_category() -> bytes:
    return parquet(pa.table({"url": repeated(MEGABYTE, 100_000)}))


def parquet_of_one_list() -> bytes:
    lists = pa.ListArray.from_arrays([0, 100_000], repeated(MEGABYTE, 100_000))
    return parquet(pa.table({"url": ["a"], "genres": lists}), store_schema=False)


def parquet_of_one_list_of_categories() -> bytes:
    lists = pa.ListArray.from_arrays([0, 100_000], repeated(MEGABYTE, 100_000))
    return parquet(pa.table({"url": ["a"], "genres": lists}))


def parquet_of_nothing() -> bytes:
    return parquet(pa.table({"url": pa.nulls(30_000_000)}))


def parquet_of_a_list_of_nothing() -> bytes:
    lists = pa.ListArray.from_arrays([0, 50_000_000], pa.nulls(50_000_000))
    return parquet(pa.table({"url": ["a"], "genres": lists}))


def parquet_of_missing_vectors() -> bytes:
    vectors = pa.array([None] * 1000, pa.list_(pa.float32(), 200_000))
    return parquet(pa.table({"url": ["a"] * 1000, "vector": vectors}))


def parquet_that_lies() -> bytes:
    """Its footer says that it unpacks to a thousand bytes."""
    content = parquet(pa.table({"url": ["a" * 300_000_000]}), use_dictionary=False)
    column = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0).column(0)

    def number(value: int, n_bytes: int = 0) -> bytes:
        """As Thrift writes it, perhaps with more bytes than it needs."""
        value, groups = 2 * value, []
        while value or not groups or len(groups) < n_bytes:
            groups.append(value % 128 | 128)
            value //= 128
        return bytes([*groups[:-1], groups[-1] & 127])

    true = number(column.total_uncompressed_size)
    assert true in content
    return content.replace(true, number(1000, len(true)))


def split_of_numbers() -> bytes:
    return b'{"trn": [' + b"0," * 20_000_000 + b'0], "val": [], "tst": []}'


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (wide_csv, "too large: .* of 3,001 columns"),
        (short_lines, "too large: .* 2,000,001 rows or more"),
        (short_links, "too large: .* rows or more"),
        (wide_characters, "a line of more than 16777216 characters"),
        (unpacks_to_too_much, "more than 268435456 bytes"),
        (json_of_columns, "too large: .* of 9,001 columns"),
        (json_of_objects, "too large: .* rows or more"),
        (json_of_lists, "too large: .* values are read"),
        (json_lines, "too large: .* 2,000,001 rows or more"),
        (parquet_of_one_value, "unpacks to more than 268435456 bytes"),
        (parquet_of_one_category, "unpacks to more than"),
        (parquet_of_one_list, "unpacks to more than"),
        (parquet_of_one_list_of_categories, "type dictionary.* not read"),
        (parquet_of_nothing, "30000000 rows"),
        (parquet_of_a_list_of_nothing, "50000002 values"),
        (parquet_of_missing_vectors, "unpacks to more than"),
        (parquet_that_lies, "unpacks to more than"),
    ],
)
def test_a_list_that_would_take_gigabytes_is_refused(
    make: Callable[[], bytes], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    path.write_bytes(make())
    assert_is_refused("list", path, reason)


def test_a_split_that_would_take_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_bytes(split_of_numbers())
    assert_is_refused("split", path, "too large: at most 20,000,000 values")
