"""Parquet and other files of strangers, unpacked in a child process whose memory is bounded.

A file of kilobytes may unpack to gigabytes, and its own figures may lie about that.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping

import pyarrow as pa

from trailergenre.base.sandbox.children import ChildLimits, Deadline, start_child

MAX_BYTES = 256 << 20
"""Unpacked. A million rows of links, titles and genres take 150 MB."""
_MEMORY_BYTES = 3 << 29  # 1.5 GB, of which Arrow's libraries reserve 0.3
_SECONDS = 120

_UNPACK = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq

def plain(column):
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column

try:
    file = pq.ParquetFile(pa.BufferReader(sys.stdin.buffer.read()))
    writer = None
    for batch in file.iter_batches(batch_size=4096, use_threads=False):
        batch = pa.record_batch([plain(c) for c in batch.columns], names=batch.schema.names)
        writer = writer or pa.ipc.new_stream(sys.stdout.buffer, batch.schema)
        writer.write_batch(batch)
    if writer is None:
        writer = pa.ipc.new_stream(sys.stdout.buffer, file.schema_arrow)
    writer.close()
except MemoryError:
    sys.exit(3)
except (pa.ArrowException, OSError) as error:
    sys.exit(str(error)[:300])
"""


def unpack_in_child(
    script: str, content: bytes, *words: str, env: Mapping[str, str] | None = None
) -> bytes:
    """Give content to a script of Python in a process of bounded memory, and return what it writes.

    Raises:
        ValueError: the script ended with 1 and a message, or it needed more than it may have.
    """
    with tempfile.TemporaryFile() as messages:
        with start_child(
            [sys.executable, "-P", "-c", script, *words],
            deadline=Deadline(_SECONDS),
            stderr=messages,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(env or {})},
            limits=ChildLimits(_SECONDS, MAX_BYTES, _MEMORY_BYTES, _MEMORY_BYTES, False),
        ) as child:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(content)
                child.stdin.close()
            stream = child.stdout.read(MAX_BYTES + 1)
            code = child.process.wait() if len(stream) <= MAX_BYTES else 3
        messages.seek(0)
        message = messages.read().decode("utf-8", "replace").strip()
    if code == 1:
        raise ValueError(message)
    if code:
        raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    return stream


def unpack_parquet(content: bytes, *, max_rows: int, max_values: int) -> pa.Table:
    """Decode a Parquet file of limited rows, and values in them; dictionaries become values.

    Raises:
        pa.ArrowInvalid: it is none, or unpacks to more than is allowed.
    """
    try:
        stream = unpack_in_child(_UNPACK, content, env=_ARROW)
    except ValueError as error:
        raise pa.ArrowInvalid(str(error)) from error
    table = pa.ipc.open_stream(stream).read_all()
    table.validate(full=True)
    n_values = sum(_count_values(chunk) for column in table.columns for chunk in column.chunks)
    if len(table) > max_rows or n_values > max_values:
        raise pa.ArrowInvalid(
            f"it has {len(table)} rows and {n_values} values; {max_rows} and {max_values} are "
            "allowed"
        )
    return table


_ARROW = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}


def _count_values(array: pa.Array) -> int:
    """Count values, also of nested lists and structures; each may become an object of Python."""
    kind = array.type
    if pa.types.is_struct(kind):
        return len(array) + sum(map(_count_values, array.flatten()))
    if any(is_list(kind) for is_list in _LISTS):
        return len(array) + _count_values(array.values)
    # Values of a dictionary share their bytes: a file that is allowed may become terabytes.
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        raise pa.ArrowInvalid(f"it has values of the type {kind}, which are not read")
    return len(array)


_LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_map,
)
