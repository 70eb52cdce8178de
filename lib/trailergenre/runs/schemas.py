"""The Arrow schema of every table. Spark's schemas are derived from these."""

from __future__ import annotations

import functools

import pyarrow as pa

from trailergenre.base.errors import SchemaError
from trailergenre.base.records import INCEPTION_V3_WIDTH

_UTC = pa.timestamp("us", tz="UTC")


_column = functools.partial(pa.field, nullable=False)

LINKS = pa.schema(
    [
        _column("row", pa.int64()),  # its number in the list, from 1
        _column("link_id", pa.string(), nullable=True),  # SHA-256 of the canonical link
        _column("url", pa.string(), nullable=True),  # canonical; as given where not canonical
        _column("title", pa.string()),
        _column("movie_id", pa.string(), nullable=True),  # IMDb tt id where known
        _column("genres", pa.list_(pa.string())),
        _column("row_outcome", pa.string()),
        _column("detail", pa.string()),  # one line; empty for ready rows
        _column("other", pa.string()),  # JSON object: the list's other columns, as text
    ]
)

LABELS = pa.schema(
    [
        _column("link_id", pa.string()),
        # IMDb tt id; where unknown, `title:NAME (YEAR)` if several links have it, else the link_id
        _column("movie_id", pa.string()),
        _column("title", pa.string()),
        _column("genres", pa.list_(pa.string())),
        # train, validation or test, if a given split names the link
        _column("part", pa.string(), nullable=True),
    ]
)

OUTCOMES = pa.schema(
    [
        _column("link_id", pa.string()),
        _column("outcome", pa.string()),
        _column("detail", pa.string()),
        _column("attempts", pa.int32()),
        _column("round", pa.int32()),  # 0 at first; +1 each time that a run takes the link again
        _column("download_s", pa.float64()),
        _column("decode_s", pa.float64()),
        _column("embed_s", pa.float64()),
        _column("size_bytes", pa.int64(), nullable=True),
        _column("duration_s", pa.float64(), nullable=True),  # that the container declares
        _column("pictures_s", pa.float64(), nullable=True),  # by the pictures' timestamps
        _column("width_px", pa.int32(), nullable=True),
        _column("height_px", pa.int32(), nullable=True),
        _column("frames", pa.int32()),
        _column("decode_errors", pa.int32()),  # errors that the decoder reported
        _column("connections", pa.list_(pa.string())),  # address:port of the servers
        _column("engine", pa.string()),
        _column("device", pa.string()),
        _column("versions", pa.string()),  # JSON object: program -> version
        _column("sandbox", pa.string()),  # full, not needed, or the missing protections
        _column("commit", pa.string(), nullable=True),  # null where there are no features
        _column("features_file", pa.string(), nullable=True),
        _column("features_rows", pa.int64(), nullable=True),
        _column("features_bytes", pa.int64(), nullable=True),
        _column("features_sha256", pa.string(), nullable=True),
        _column("finished_at", _UTC),
    ]
)


def features_schema(width: int) -> pa.Schema:
    """The schema of features of `width` values per frame."""
    return pa.schema(
        [
            _column("link_id", pa.string()),
            _column("frame_index", pa.int32()),  # dense from 0
            _column("frame_time_s", pa.float64()),  # frame_index / frames per second
            _column("features", pa.list_(pa.float32(), width)),
            _column("commit", pa.string()),
        ]
    )


FEATURES = features_schema(INCEPTION_V3_WIDTH)

SCORES = pa.schema(
    [
        _column("link_id", pa.string()),
        _column("genre", pa.string()),
        _column("probability", pa.float64()),
        _column("threshold", pa.float64()),
        _column("is_predicted", pa.bool_()),  # probability >= threshold
        _column("rank", pa.int32()),  # 1 = most probable genre of the link
        # of the link's row in the table `links`
        _column("row", pa.int64()),
        _column("url", pa.string()),
        _column("title", pa.string()),
        _column("other", pa.string()),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "links": LINKS,
    "labels": LABELS,
    "outcomes": OUTCOMES,
    "features": FEATURES,
    "scores": SCORES,
}
"""Schemas by table name; features may have another width."""


def check_table(name: str, schema: pa.Schema) -> None:
    """Check the columns and types of table `name`; readers disagree on nullability."""
    expected = {field.name: field.type for field in TABLES[name]}
    received = {field.name: field.type for field in schema}
    problems = [f"missing column {column}" for column in expected if column not in received]
    problems += [f"unknown column {column}" for column in received if column not in expected]
    problems += [
        f"column {column} is {received[column]}, expected {kind}"
        for column, kind in expected.items()
        if column in received and not _is_same_type(received[column], kind)
    ]
    if problems:
        raise SchemaError(f"The table {name} does not fit its schema: {'; '.join(problems)}.")


def _is_same_type(received: pa.DataType, expected: pa.DataType) -> bool:
    """Compare types, except for details that vary between writers."""
    if pa.types.is_list(received) or pa.types.is_fixed_size_list(received):
        is_list = pa.types.is_list(expected) or pa.types.is_fixed_size_list(expected)
        return is_list and bool(received.value_type == expected.value_type)
    if pa.types.is_timestamp(received):
        return bool(pa.types.is_timestamp(expected))
    return bool(received == expected)
