from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest

from trailergenre.base.npz import read_arrays

LIMIT = 1 << 20


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(content: bytes, name: str = "a.npy", **more: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content, **more)
    return buffer.getvalue()


def npy(
    descr: str = "<f8", shape: str = "(2,)", body: bytes = bytes(16), order: str = "False"
) -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def with_announced_size(content: bytes, size_bytes: int) -> bytes:
    """A zip whose directory says another unpacked size."""
    start = content.index(b"PK\x01\x02")
    return content[: start + 24] + size_bytes.to_bytes(4, "little") + content[start + 28 :]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float64).reshape(2, 3),
        np.zeros((0, 5), np.int32),
        np.array(7),
        np.array([255], np.uint8),
        np.ones((2, 2, 2, 2), np.float32),
    ],
)
def test_what_numpy_wrote_is_read_back(array: np.ndarray) -> None:
    (read,) = read_arrays(npz(a=array), max_bytes=LIMIT).values()
    np.testing.assert_array_equal(read, array, strict=True)
    assert read.dtype == array.dtype


class Runs:
    """Unpickled, it would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an .npz"),
        (b"PK\x03\x04broken", "not an .npz"),
        (pickle.dumps(Runs()), "not an .npz"),
        (zipped(pickle.dumps(Runs())), "plain numbers"),
        (npz(a=np.array([Runs()], object)), "plain numbers"),
        (npz(a=np.zeros(2, [("x", "f8")])), "plain numbers"),
        (npz(a=np.array(["text"])), "plain numbers"),
        (npz(a=np.zeros(2, ">f8")), "plain numbers"),
        (npz(a=np.asfortranarray(np.ones((2, 3)))), "plain numbers"),
        (zipped(npy(), name="a.txt"), "plain numbers"),
        (zipped(npy("|f9")), "plain numbers"),
        (zipped(npy("<f1")), "unknown type"),
        (zipped(npy(shape="(3,)")), "announces the shape"),
        (zipped(npy(shape="(1000000000,)")), "announces the shape"),
        (zipped(npy(shape="(-2,)")), "plain numbers"),
        (zipped(npy(shape="((2),)")), "plain numbers"),
        (zipped(npy(shape="(" + "9" * 5000 + ",)")), "limit"),
        (zipped(npy()[:9]), "plain numbers"),
        (zipped(npy(body=bytes(LIMIT + 1))), "allowed"),
        (with_announced_size(zipped(npy(body=bytes(99))), 20), "not an .npz|plain numbers|CRC"),
        (zipped(npy(), compress_type=zipfile.ZIP_LZMA), "unknown way"),
    ],
)
def test_anything_else_is_a_value_error(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_arrays(content, max_bytes=LIMIT)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", npy())
        archive.writestr("a.npy", npy())
    with pytest.raises(ValueError, match="two of one name"):
        read_arrays(buffer.getvalue(), max_bytes=LIMIT)


def test_the_sum_of_all_arrays_counts() -> None:
    half = np.zeros(LIMIT // 2 - 1000, np.uint8)
    assert len(read_arrays(npz(a=half, b=half), max_bytes=LIMIT)) == 2
    with pytest.raises(ValueError, match="allowed"):
        read_arrays(npz(a=half, b=half, c=half), max_bytes=LIMIT)
