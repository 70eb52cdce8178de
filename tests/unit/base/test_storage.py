from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from trailergenre.base.errors import StorageError
from trailergenre.base.storage import Store


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


def test_local_path_with_a_space_works(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "my run"))
    store.write_bytes("x", b"1")
    assert (tmp_path / "my run" / "x").read_bytes() == b"1"
    assert [file.path for file in store.list_files("")] == ["x"]


def test_unknown_scheme_is_refused_by_name() -> None:
    with pytest.raises(
        StorageError, match=r"The scheme 'ftp' is unknown\. Use a local path, s3://"
    ):
        Store("ftp://host/run")


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nothing\.txt"):
        Store(str(tmp_path)).read_bytes("nothing.txt")


class Unreachable:
    """A file system that refuses whatever it is asked."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise OSError("no route to host")

        return refuse


@pytest.mark.parametrize(
    "use",
    [
        lambda store, file: store.exists("a/b"),
        lambda store, file: store.list_files("a/b"),
        lambda store, file: store.list_directories("a/b"),
        lambda store, file: store.read_bytes("a/b"),
        lambda store, file: store.open_input("a/b").__enter__(),
        lambda store, file: store.write_bytes("a/b", b"1"),
        lambda store, file: store.upload(file, "a/b"),
        lambda store, file: store.download("a/b", file),
        lambda store, file: store.delete("a/b"),
        lambda store, file: store.delete_directory("a/b"),
    ],
    ids=[
        "exists",
        "list_files",
        "list_directories",
        "read_bytes",
        "open_input",
        "write_bytes",
        "upload",
        "download",
        "delete",
        "delete_directory",
    ],
)
def test_whatever_an_unreachable_store_is_asked_the_error_says_where(
    use: Callable[[Store, Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "_opened", (Unreachable(), "bucket/run"))
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(StorageError, match=r"a/b below s3://bucket/run .*: no route to host"):
        use(Store("s3://bucket/run"), tmp_path / "file")


def test_cut_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("a/b.parquet", b"PAR1")
    with (
        pytest.raises(StorageError, match=r"a/b\.parquet"),
        store.open_input("a/b.parquet") as file,
    ):
        pq.read_table(file)


def test_files_that_a_killed_spark_job_left_are_not_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "_hidden"))
    for path in ("scores/_temporary/0/part-0.parquet", "scores/.part/x", "scores/deep/part-1"):
        store.write_bytes(path, b"x")
    assert [file.path for file in store.list_files("scores")] == ["scores/deep/part-1"]
    assert [file.path for file in store.list_files("")] == ["scores/deep/part-1"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read_what_is_written(
    umask: int, mode: int, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "run"))
    (tmp_path / "video").write_bytes(b"1")
    before = os.umask(umask)
    try:
        store.upload(tmp_path / "video", "uploaded")
        store.write_bytes("a/written", b"1")
    finally:
        os.umask(before)
    written = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").rglob("*")}
    assert written == {"uploaded": mode, "written": mode, "a": 0o777 & ~umask}


def test_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    store = Store(str(tmp_path / "run"))
    (tmp_path / "video").write_bytes(b"new")
    store.write_bytes("x", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=r"x below .*/run cannot be written: .*No space left"):
        store.write_bytes("x", b"new")
    with pytest.raises(StorageError, match="No space left"):
        store.upload(tmp_path / "video", "x")
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "x"]
    assert store.read_bytes("x") == b"old"


class Parts(io.BytesIO):
    """Remembers what came in which call."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def write(self, content: bytes | pa.Buffer) -> int:
        self.parts.append(bytes(content))
        return len(content)


@pytest.mark.parametrize("content", [b"12345678" * (1 << 18), b""], ids=["2 MB", "empty"])
def test_object_is_written_in_one_call_since_a_stream_cannot_be_abandoned(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bucket:
        def open_output_stream(self, path: str) -> Parts:
            return streams.setdefault(path, Parts())

    streams: dict[str, Parts] = {}
    monkeypatch.setattr(Store, "_opened", (Bucket(), "bucket/run"))
    (tmp_path / "video").write_bytes(content)
    Store("s3://bucket/run").upload(tmp_path / "video", "kept")
    Store("s3://bucket/run").write_bytes("written", content)
    assert {path: stream.parts for path, stream in streams.items()} == {
        "bucket/run/kept": [content],
        "bucket/run/written": [content],
    }


def test_kept_object_is_copied_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "_opened", (pafs.LocalFileSystem(), str(tmp_path)))
    store, content = Store("s3://bucket/run"), b"12345678" * (1 << 18)
    (tmp_path / "video").write_bytes(content)
    store.upload(tmp_path / "video", "kept")
    store.download("kept", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


SECRET = "canary-9f2"


@pytest.mark.parametrize(
    ("address", "instead"),
    [
        (f"s3://key:{SECRET}@bucket/run", "AWS_ACCESS_KEY_ID .* or AWS_PROFILE"),
        (f"s3a://key:{SECRET}%2Fx@bucket/run/", "AWS_"),
        (f"s3://key:{SECRET}/x@bucket/run", "AWS_"),
        (f"s3://key%3A{SECRET}%40bucket/run", "AWS_"),
        (f"s3://key:12/{SECRET}@bucket/run", "AWS_"),
        (f"s3://key:{SECRET}?x@bucket/run", "AWS_"),
        (f"s3://{SECRET}@bucket", "AWS_"),
        (f"s3://bucket/run?access_key=key&secret_key={SECRET}&endpoint_override=h:1", "AWS_"),
        (f"s3://bucket/run?secret%5Fkey={SECRET}", "AWS_"),
        (f"s3://bucket/run?endpoint_override=http://key:{SECRET}@127.0.0.1:1", "AWS_"),
        (f"gs://{SECRET}@bucket/run", "GOOGLE_APPLICATION_CREDENTIALS"),
        (f"gs://bucket/run?json_credentials={SECRET}", "GOOGLE_APPLICATION_CREDENTIALS"),
        (f"hdfs://me:{SECRET}@host/run", "HADOOP_USER_NAME"),
        (f"hdfs://me:x/{SECRET}@host:8020/run", "HADOOP_USER_NAME"),
        (f"file://me:{SECRET}@host/run", "Remove that"),
        (f"abfs://box@account.dfs.core.windows.net/run?sig={SECRET}", "'abfs' is unknown"),
        (f"abfss://box@account.dfs.core.windows.net/run?sig={SECRET}", "AZURE_CLIENT_ID"),
        (f"abfss://box:{SECRET}@account.dfs.core.windows.net/run", "AZURE_CLIENT_ID"),
        (f"abfss://box@{SECRET}.example.org/run", "AZURE_CLIENT_ID"),
        (f"abfss://:{SECRET}@account.dfs.core.windows.net/run", "AZURE_CLIENT_ID"),
        (f"az://{SECRET}@account/run", "'az' is unknown"),
        (f"me:{SECRET}@s3://bucket/run", "scheme of the address is unknown"),
    ],
)
def test_an_address_that_holds_a_key_is_refused_without_repeating_it(
    address: str, instead: str
) -> None:
    with pytest.raises(StorageError, match=instead) as raised:
        Store(address)
    assert SECRET not in f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/run?region=x&endpoint_override=127.0.0.1:1&scheme=http",
        "s3://bucket/me@example.org/run",
        "gs://anonymous@bucket/run?scheme=http&endpoint_override=127.0.0.1:1",
        "abfss://box@account.dfs.core.windows.net/run",
        "hdfs://namenode:8020/run",
        "hdfs://[::1]:8020/run",
        "hdfs:///run",
    ],
)
def test_an_address_without_keys_is_taken_and_shown_whole(address: str) -> None:
    assert str(Store(address)) == address


@pytest.mark.parametrize(
    ("address", "below"),
    [
        ("s3://b/x/?region=r&scheme=http", "s3://b/x/fold-0/a%20b?region=r&scheme=http"),
        ("s3a://b?region=r", "s3://b/fold-0/a%20b?region=r"),
        ("hdfs://host:8020/x", "hdfs://host:8020/x/fold-0/a%20b"),
        ("/tmp/my run", "/tmp/my run/fold-0/a b"),
        ("/", "/fold-0/a b"),
    ],
)
def test_what_is_below_an_address_keeps_its_parameters(address: str, below: str) -> None:
    assert str(Store(address).child("fold-0").child("a b")) == below


def test_a_local_path_is_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "what?" / "me@home:x"
    assert str(Store(str(path))) == str(path)


def test_what_is_unfinished_is_told_from_what_is_hidden(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    left = [".unfinished-y", "a/.unfinished-x"]
    others = ("whole", ".DS_Store", "a/_settings.json", "scores/.part-0.crc", "v/x.mp4.part")
    for path in (*left, *others, ".unfinished-z/mine"):
        store.write_bytes(path, b"x")
    assert [file.path for file in store.list_unfinished("")] == left


def test_a_writer_that_is_killed_leaves_what_is_known_as_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(_: int) -> None:
        seen.extend(store.list_unfinished(""))

    store = Store(str(tmp_path))
    monkeypatch.setattr(os, "fsync", look)
    store.write_bytes("a/b", b"1")
    assert [file.path.startswith("a/.unfinished-") for file in seen] == [True]
    assert store.list_unfinished("") == []
