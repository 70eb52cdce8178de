"""Parquet files to tables that match their declared schema."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.storage import Store
from trailergenre.runs import schemas


def parse_parquet(content: bytes, max_rows: int | None = None) -> pa.Table:
    """Decode one Parquet file, refusing more than `max_rows` rows before decoding them.

    Decodes in this thread: Arrow's own threads may still hold Python's bytes when the interpreter
    ends, which aborts the process. Avoids `pq.read_table`, which imports pandas (0.3 s, 40 MB).

    Raises:
        OSError, pa.ArrowException: the content is not a Parquet file.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    if max_rows is not None and file.metadata.num_rows > max_rows:
        raise pa.ArrowInvalid(f"it has {file.metadata.num_rows} rows; {max_rows} are allowed")
    return file.read(use_threads=False)


def check_and_cast(name: str, table: pa.Table) -> pa.Table:
    """Bring a table to the columns, order and types of `schemas.TABLES[name]`.

    Features keep their width, as lists of one fixed size.

    Raises:
        SchemaError: the columns differ, or features vary in width.
    """
    schemas.check_table(name, table.schema)
    schema = schemas.TABLES[name]
    if name == "features" and len(table):
        schema = schemas.features_schema(_width_of(table["features"]))
    return table.select(schema.names).cast(schema)


def _width_of(features: pa.ChunkedArray) -> int:
    widths = pc.unique(pc.list_value_length(features)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise SchemaError(
            "The table features does not fit its schema: its rows must have one width. "
            f"Received: {', '.join(map(str, widths[:5]))}."
        )
    return int(widths[0])


def read_content_addressed(store: Store, name: str, path: str) -> pa.Table:
    """Read a file of table `name`, and check it against the SHA-256 in its file name.

    Raises:
        StorageError: the file is missing, truncated or changed.
        SchemaError: its columns are not the declared ones.
    """
    expected = PurePosixPath(path).stem
    content = store.read_bytes(path)
    received = hashlib.sha256(content).hexdigest()
    if received != expected:
        raise StorageError(
            f"{path} below {store} was truncated or changed: expected content with the SHA-256 of "
            f"its name, received {len(content)} bytes with {received}."
        )
    try:
        table = parse_parquet(content)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} below {store} is not a Parquet file: {error}.") from error
    return check_and_cast(name, table)
