"""Arrays of strangers: each is read or has a reason, whatever its file says or does."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from numcodecs.blosc import Blosc
from numcodecs.zstd import Zstd
from numpy.typing import NDArray
from reproduce.made import write_group

from trailergenre.base.errors import ConfigError
from trailergenre.links.external import arrays
from trailergenre.links.external.arrays import ArrayFiles, Listing, ReadArray

WIDTH = 8
GOOD = np.arange(3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)
ARRAY = {
    "chunks": [3, WIDTH],
    "compressor": None,
    "dtype": "<f4",
    "fill_value": 0.0,
    "filters": None,
    "order": "C",
    "shape": [3, WIDTH],
    "zarr_format": 2,
}
HOLES = GOOD.copy()
HOLES[1, 2:5] = np.nan


def read_all(files: ArrayFiles) -> tuple[Listing, dict[str, ReadArray]]:
    listing = files.list_arrays()
    found = list(files.stream(listing.names, listing.width))
    assert len(found) == len(listing.names)
    return listing, {array.name: array for array in found}


def write_array(group: Path, name: str, chunk: bytes, **changes: Any) -> Path:
    """An array of format 2, byte by byte; gives its chunk's path."""
    directory = group / name
    directory.mkdir()
    (directory / ".zarray").write_text(json.dumps(ARRAY | changes))
    (directory / "0.0").write_bytes(chunk)
    return directory / "0.0"


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A group of format 2 with one good array."""
    path = tmp_path / "x.zarr"
    write_group(path, [("good", GOOD)], attributes={"num_features": WIDTH})
    return path


@pytest.mark.parametrize(("zarr_format", "name"), [(2, "x.zarr"), (3, "x.zip")])
def test_an_array_is_read_or_has_a_reason(
    zarr_format: Literal[2, 3], name: str, tmp_path: Path
) -> None:
    made = {
        "good": GOOD,
        "half": GOOD.astype(np.float16),
        "double": GOOD.astype(np.float64),
        "one": GOOD[0],
        "nan": HOLES,
        "far": GOOD.astype(np.float64) * 1e300,
        "wide": np.ones((3, WIDTH + 1), np.float32),
        "empty": np.ones((0, WIDTH), np.float32),
        "whole": np.ones((3, WIDTH), np.int64),
        "deep": np.ones((3, 2, WIDTH), np.float32),
        "absent": np.zeros((40, WIDTH), np.float32),  # its chunks are not written
    }
    path = tmp_path / name
    write_group(path, made.items(), zarr_format=zarr_format)
    _, found = read_all(ArrayFiles("zarr", (path,)))
    read = {name: array.features for name, array in found.items() if array.features is not None}
    assert read.keys() == {"good", "half", "double", "one"}
    assert all(values.dtype == np.float32 for values in read.values())
    assert all(np.array_equal(read[name], GOOD) for name in ("good", "half", "double"))
    assert np.array_equal(read["one"], GOOD[:1])
    assert {name: array.problem for name, array in found.items() if array.problem} == {
        "nan": "has 3 of 24 values missing or not finite",
        "far": "has 23 of 24 values missing or not finite",
        "wide": "has 9 features a frame; the set has 8",
        "empty": "has no frames",
        "whole": "has values of the type int64, not floats",
        "deep": "has 3 dimensions, not (frames, features)",
        "absent": "has 320 of 320 values missing or not finite",
    }


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.slow
def test_a_hostile_array_costs_itself_alone(
    group: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_SECONDS", 6.0)
    mark = tmp_path / "ran"
    evil = pickle.dumps(Evil(str(mark)))
    bomb = bytes(Zstd().encode(np.zeros(1 << 30, np.uint8)))
    assert len(bomb) < 200_000
    write_array(group, "long", b"", shape=[10**12, WIDTH])
    write_array(group, "chunk", GOOD.tobytes(), chunks=[10**12, WIDTH])
    write_array(group, "bomb", bomb, compressor={"id": "zstd", "level": 1})
    write_array(group, "delta", GOOD.tobytes(), filters=[{"id": "delta", "dtype": "<f4"}])
    write_array(group, "evil1", evil, compressor={"id": "pickle"})
    write_array(group, "evil2", evil, filters=[{"id": "pickle"}], dtype="|O", fill_value=None)
    endless = write_array(group, "endless", b"")
    endless.unlink()
    os.mkfifo(endless)
    blosc = Blosc(shuffle=Blosc.SHUFFLE)  # zarr 2's own choice
    write_array(group, "zulu", blosc.encode(GOOD), compressor=blosc.get_config())
    _, found = read_all(ArrayFiles("zarr", (group,)))
    read = {name for name, array in found.items() if array.features is not None}
    assert read == {"good", "zulu"}
    assert np.array_equal(found["zulu"].features, GOOD)  # type: ignore[arg-type]
    assert not mark.exists()
    declared = "[1000000000000, 8] values, more than 134217728 bytes"
    assert found["long"].problem == f"declares {declared}"
    assert found["chunk"].problem == f"declares a chunk of {declared}"
    assert found["delta"].problem == "has the codec 'delta', which is not read"
    assert "needs more memory or time" in found["endless"].problem


def test_an_id_in_two_files_is_in_none(tmp_path: Path) -> None:
    for name, ids in (("a.zip", "xy"), ("b.zip", "yz")):
        write_group(tmp_path / name, [(each, GOOD) for each in ids])
    _, found = read_all(ArrayFiles("zarr", (tmp_path / "a.zip", tmp_path / "b.zip")))
    assert found["y"].problem == "is in several places"
    assert found["x"].features is not None
    assert found["z"].features is not None


@pytest.mark.slow
def test_npz_and_parquet_hold_arrays_by_id(tmp_path: Path) -> None:
    objects = np.array([Evil(str(tmp_path / "ran"))], object)
    values: dict[str, NDArray[Any]] = {"a": GOOD, "b/1": GOOD[0], "objects": objects}
    np.savez(tmp_path / "f.npz", **values)  # type: ignore[arg-type]
    listing, found = read_all(ArrayFiles("npz", (tmp_path / "f.npz",)))
    assert listing.width == WIDTH
    assert np.array_equal(found["a"].features, GOOD)  # type: ignore[arg-type]
    assert np.array_equal(found["b/1"].features, GOOD[:1])  # type: ignore[arg-type]
    assert found["objects"].problem == "has values of the type object, not floats"
    assert not (tmp_path / "ran").exists()
    rows = [("a", row) for row in GOOD] + [("b", GOOD[0]), ("c", GOOD[0]), ("b", GOOD[1])]
    rows += [("short", GOOD[0][:2]), ("short", GOOD[0])]
    names, features = zip(*rows, strict=True)
    pq.write_table(pa.table({"id": names, "features": list(features)}), tmp_path / "f.parquet")
    parquet = ArrayFiles("parquet", (tmp_path / "f.parquet",))
    listing = parquet.list_arrays()
    found = {array.name: array for array in parquet.stream(listing.names, listing.width)}
    assert np.array_equal(found["a"].features, GOOD)  # type: ignore[arg-type]
    assert np.array_equal(found["c"].features, GOOD[:1])  # type: ignore[arg-type]
    assert found["b"].problem == "is in several places"
    assert found["short"].problem == "has rows without values, or of several widths"


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("zarr", b"not a zip", "cannot be read: BadZipFile"),
        ("npz", b"not a zip", "cannot be read: BadZipFile"),
        ("parquet", b"not one", "cannot be read: ArrowInvalid"),
    ],
)
def test_a_file_that_is_none_ends_with_a_reason(
    kind: arrays.Kind, content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.zip"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        ArrayFiles(kind, (path,)).list_arrays()


def test_an_empty_group_is_no_set(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "x.zarr", zarr_format=2)
    with pytest.raises(ConfigError, match="holds no arrays of features"):
        ArrayFiles("zarr", (tmp_path / "x.zarr",)).list_arrays()
