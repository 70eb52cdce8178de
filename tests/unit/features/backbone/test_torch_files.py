"""`torch_files/` was written by torch 2.15: see `SAVED` for what is in it."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trailergenre.features.backbone.torch_files import read_torch_file

FILES = Path(__file__).parent / "torch_files"
FORMATS = ["saved.pth", "saved_before_1_6.pth"]
SAVED = {
    "0.weight": np.arange(12, dtype=np.float32).reshape(2, 3, 1, 2),
    "1.weight": np.ones(2, np.float32),
    "1.bias": np.zeros(2, np.float32),
    "1.running_mean": np.array([0.5, -1], np.float32),
    "1.running_var": np.ones(2, np.float32),
    "1.num_batches_tracked": np.array(7),
    "part": np.arange(3, 7, dtype=np.float32),  # of the same storage as the next
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "parameter": np.array([2.5], np.float32),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_state_dict_is_read_as_torch_wrote_it(name: str) -> None:
    arrays = read_torch_file(FILES / name)
    assert list(arrays) == list(SAVED)
    for key, expected in SAVED.items():
        assert arrays[key].dtype == expected.dtype
        np.testing.assert_array_equal(arrays[key], expected)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("whole_model.pth", r"torch\.nn\.modules\.container Sequential, and nothing of it is run"),
        ("checkpoint.pth", "holds 'epoch', which is no tensor"),
        ("bfloat16.pth", "torch BFloat16Storage, weights must be float32"),
    ],
)
def test_what_is_no_state_dict_of_float32_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"{reason}.*torch\.save\(model\.float\(\)\.state_dict"):
        read_torch_file(FILES / name)


class Runs:
    """What a hostile pickle holds: reading it as a pickle makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.made,))


def as_zip(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", bytes(40))
    return file.getvalue()


MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def as_legacy(pickled: bytes) -> bytes:
    return MAGIC + pickle.dumps(1001, protocol=2) + pickle.dumps({}, protocol=2) + pickled


@pytest.mark.parametrize("wrap", [as_zip, as_legacy, bytes], ids=["zip", "legacy", "pickle"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_is_not_run(
    tmp_path: Path, wrap: Callable[[bytes], bytes], protocol: int
) -> None:
    path, made = tmp_path / "x.pth", tmp_path / "made"
    content = pickle.dumps({"a": Runs(made)}, protocol=protocol)
    path.write_bytes(wrap(content))
    with pytest.raises(ValueError, match="state dict alone"):
        read_torch_file(path)
    assert not made.exists()
    pickle.loads(content)
    assert made.exists()


def tensor(
    *, key: str = "0", n_items: int = 10, offset: int = 0, shape: bytes = b"", stride: bytes = b""
) -> bytes:
    """A state dict of one tensor of float32, opcode by opcode."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    storage = b"(" + storage + b"J" + struct.pack("<i", n_items) + b"tQ"
    arguments = storage + b"J" + struct.pack("<i", offset) + b"(" + shape + b"t(" + stride + b"t"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89}tR"
    return b"\x80\x02}" + text("a") + rebuilt + b"s."


def test_a_tensor_opcode_by_opcode_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(as_zip(tensor(offset=2, shape=b"K\x02K\x03", stride=b"K\x03K\x01")))
    assert read_torch_file(path)["a"].tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (tensor(n_items=11), "data of a is incomplete"),
        (tensor(key="1"), "truncated or damaged"),
        (tensor(key="../data.pkl"), "truncated or damaged"),
        (tensor(offset=5, shape=b"K\x06", stride=b"K\x01"), "larger than its data"),
        (tensor(shape=b"K\x02", stride=b"K\x0a"), "larger than its data"),
        (tensor(shape=b"J\xff\xff\xff\x7f", stride=b"K\x00"), "larger than its data"),
        (tensor(shape=b"K\x02K\x02", stride=b"K\x01"), "shape of a is damaged"),
        (tensor(offset=-1, shape=b"K\x02", stride=b"K\x01"), "shape of a is damaged"),
        (tensor(shape=b"U\x012", stride=b"K\x01"), "opcode SHORT_BINSTRING"),
        (tensor()[:-2], "pickle exhausted"),
        (tensor(shape=b"K\x02", stride=b"X\x01\x00\x00\x00a"), "pickle is damaged"),
        (b"\x80\x02}" + b"(" * 9 + b"s.", "pickle is damaged"),
        (b"\x80\x02" + b")" + b"\x85" * 100_000 + b"Q.", "pickle is damaged"),
        (b"\x80\x02}.", "not a state dict"),
        (b"\x80\x02].", "holds a list, not a state dict"),
    ],
)
def test_a_damaged_state_dict_is_refused(tmp_path: Path, pickled: bytes, reason: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(as_zip(pickled))
    with pytest.raises(ValueError, match=reason):
        read_torch_file(path)


@pytest.mark.parametrize("name", FORMATS)
def test_every_cut_is_refused_or_changes_nothing(tmp_path: Path, name: str) -> None:
    content = (FILES / name).read_bytes()
    for n_bytes in range(0, len(content) - 1, 29):
        path = tmp_path / "cut.pth"
        path.write_bytes(content[:n_bytes])
        with pytest.raises(ValueError, match="state dict alone"):
            read_torch_file(path)


def test_an_oversize_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(17 << 20))
    with pytest.raises(ValueError, match="more than 16777216 bytes"):
        read_torch_file(path)


def test_compressed_tensors_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", tensor(shape=b"K\x02", stride=b"K\x01"))
        archive.writestr("a/data/0", bytes(40))
    with pytest.raises(ValueError, match="compressed"):
        read_torch_file(path)
