"""NumPy's .npz files, read as numbers and nothing else.

`np.load` trusts a header for the memory that it takes, and knows forms (objects, records) that
models do not need. This reads the one form that `np.savez` writes for plain numbers, and looks at
what is announced before anything is allocated.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As numpy writes it; padded with spaces to a multiple of 64 bytes.
_HEADER = re.compile(
    rb"\{'descr': '([<|][fiu][1248])', 'fortran_order': False, "
    rb"'shape': \(((?:\d+, ?)*\d*)\), \} *\n"
)
_MAGIC = b"\x93NUMPY\x01\x00"
_PREFIX_BYTES = len(_MAGIC) + 2
_MAX_ARRAYS = 10_000
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

Numbers = NDArray[Any]
"""Integers or floats of any size; whoever asks checks which."""


def write_arrays(arrays: Mapping[str, object]) -> bytes:
    """Pack arrays and single numbers as the .npz file that `read_arrays` reads."""
    file = io.BytesIO()
    # Any: numpy's stub takes a name that is no array for its own option.
    ordered: dict[str, Any] = {name: np.asarray(a, order="C") for name, a in arrays.items()}
    np.savez_compressed(file, allow_pickle=False, **ordered)
    return file.getvalue()


def read_arrays(content: bytes, *, max_bytes: int) -> dict[str, Numbers]:
    """Read every array of an .npz file.

    Args:
        content: the file.
        max_bytes: of all arrays together, unpacked.

    Returns:
        Name -> array, little-endian, not writable.

    Raises:
        ValueError: it is anything else; says what.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(members, max_bytes)
            return {
                member.filename.removesuffix(".npy"): _parse_array(
                    archive.read(member), member.filename
                )
                for member in members
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise ValueError(f"it is not an .npz file: {error}") from error


def _check_members(members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    # zipfile unpacks no more than what is announced here.
    size_bytes = sum(member.file_size for member in members)
    if size_bytes > max_bytes:
        raise ValueError(f"its arrays have {size_bytes} bytes; {max_bytes} are allowed")
    names = [member.filename for member in members]
    if len(names) > _MAX_ARRAYS or len(set(names)) < len(names):
        raise ValueError(f"it holds {len(names)} arrays, or two of one name")
    for member in members:
        is_encrypted = bool(member.flag_bits & 1)
        if is_encrypted or member.compress_type not in _COMPRESSIONS:
            raise ValueError(f"{member.filename!r} is encrypted or packed in an unknown way")


def _parse_array(content: bytes, name: str) -> Numbers:
    length = int.from_bytes(content[len(_MAGIC) : _PREFIX_BYTES], "little")
    header = _HEADER.fullmatch(content[_PREFIX_BYTES : _PREFIX_BYTES + length])
    if not content.startswith(_MAGIC) or not name.endswith(".npy") or header is None:
        raise ValueError(f"{name!r} is not an array of plain numbers")
    try:
        dtype = np.dtype(header[1].decode())
    except TypeError as error:
        raise ValueError(f"{name!r} is of an unknown type") from error
    shape = tuple(int(length) for length in header[2].split(b",") if length.strip())
    values = memoryview(content)[_PREFIX_BYTES + length :]
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"{name!r} announces the shape {shape} and holds {len(values)} bytes")
    return np.frombuffer(values, dtype).reshape(shape)
