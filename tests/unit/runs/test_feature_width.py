from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from runs import make_features_table
from trailergenre.base.errors import SchemaError
from trailergenre.runs.schemas import features_schema
from trailergenre.runs.tables import parse_table, to_parquet


def of_lists(values: list[list[float] | None]) -> pa.Table:
    """A features table whose rows may be of several widths."""
    n = len(values)
    columns = {
        "link_id": pa.array(["a"] * n, pa.string()),
        "frame_index": pa.array(range(n), pa.int32()),
        "frame_time_s": pa.array(range(n), pa.float64()),
        "features": pa.array(values, pa.list_(pa.float32())),
        "commit": pa.array(["c"] * n, pa.string()),
    }
    return pa.table(columns)


def read_back(table: pa.Table) -> pa.Table:
    return parse_table("features", pa.BufferReader(to_parquet(table)))


@pytest.mark.parametrize("width", [1, 107])
def test_features_keep_their_width(width: int) -> None:
    table = read_back(of_lists([[1.0] * width, [2.0] * width]))
    assert table.schema == features_schema(width)


def test_no_features_have_the_width_of_the_network() -> None:
    assert read_back(of_lists([])).schema == features_schema(2048)


@pytest.mark.parametrize(
    ("values", "received"), [([[1.0], [1.0, 2.0]], "1, 2"), ([[]], "0"), ([[1.0], None], "1, None")]
)
def test_features_of_no_one_width_are_refused(
    values: list[list[float] | None], received: str
) -> None:
    with pytest.raises(SchemaError, match=f"one width. Received: {received}"):
        read_back(of_lists(values))


def test_a_column_more_is_still_refused() -> None:
    table = make_features_table({"a": np.ones((2, 3), np.float32)}).append_column(
        "more", pa.array([1, 2])
    )
    with pytest.raises(SchemaError, match="unknown column more"):
        read_back(table)
