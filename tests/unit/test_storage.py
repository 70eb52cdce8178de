from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from trailergenre.errors import StorageError
from trailergenre.storage import Store


def test_written_bytes_are_read_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    store.write_bytes("a/b.txt", b"content")
    assert store.read_bytes("a/b.txt") == b"content"


def test_content_addressed_file_is_named_by_its_hash(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    path = store.write_content_addressed("d", b"content", ".bin")
    assert path == f"d/{hashlib.sha256(b'content').hexdigest()}.bin"
    assert store.write_content_addressed("d", b"content", ".bin") == path
    assert [file.path for file in store.list_files("d")] == [path]


def test_unfinished_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".half").write_bytes(b"x")
    (tmp_path / "_settings.json").write_bytes(b"x")
    (tmp_path / "whole").write_bytes(b"x")
    assert [file.path for file in Store(str(tmp_path)).list_files("")] == ["whole"]


def test_absent_directory_lists_nothing(tmp_path: Path) -> None:
    assert Store(str(tmp_path)).list_files("nothing") == []


@pytest.mark.parametrize(
    ("address", "spark_path"),
    [
        ("s3://bucket/run", "s3a://bucket/run/links"),
        ("s3a://bucket/run/", "s3a://bucket/run/links"),
        ("gs://bucket/run", "gs://bucket/run/links"),
    ],
)
def test_object_stores_are_named_as_spark_names_them(address: str, spark_path: str) -> None:
    assert Store(address).spark_path("links") == spark_path


def test_local_path_with_a_space_works(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "my run"))
    store.write_bytes("x", b"1")
    assert (tmp_path / "my run" / "x").read_bytes() == b"1"
    assert [file.path for file in store.list_files("")] == ["x"]


def test_unknown_address_is_refused_by_name() -> None:
    with pytest.raises(StorageError, match="ftp://host/run"):
        Store("ftp://host/run")


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nothing\.txt"):
        Store(str(tmp_path)).read_bytes("nothing.txt")
