"""Files in a bucket, on a server of S3's protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import Bucket, serve_bucket
from trailergenre.base.errors import StorageError, WeightsError
from trailergenre.base.local_copies import local_copies
from trailergenre.features.backbone.artefact import (
    MANIFEST_FILE,
    ONNX_FILE,
    BackboneManifest,
    local_backbone,
    read_file,
    read_manifest,
    write_manifest,
)
from trailergenre.features.backbone.spec import INCEPTION_V3


@pytest.fixture(scope="module")
def served() -> Iterator[Bucket]:
    with serve_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(served: Bucket) -> Bucket:
    served.requests.clear()
    return served


def test_a_small_file_is_one_request_and_read_back(bucket: Bucket) -> None:
    store, content = bucket.store("small"), b"x" * 100_000
    store.write_bytes("a/b", content)
    assert bucket.requests == ["PUT /bucket/small/a/b"]
    assert store.read_bytes("a/b") == content
    store.delete("a/b")
    assert not store.exists("a/b")
    store.delete("a/b")


def test_an_endpoint_in_the_address_holds_for_what_is_below(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = bucket.environment["AWS_ENDPOINT_URL"].removeprefix("http://")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    store = bucket.store(f"x?endpoint_override={host}&scheme=http").child("below")
    store.write_bytes("a", b"content")
    assert bucket.requests == ["PUT /bucket/x/below/a"]
    assert [file.path for file in store.list_files("")] == ["a"]


def test_a_list_is_copied_for_as_long_as_it_is_read(bucket: Bucket) -> None:
    bucket.store("lists").write_bytes("links.csv", b"url\n")
    bucket.store("lists/parts").write_bytes("0.parquet", b"part")
    with local_copies() as copy:
        path = copy("s3://bucket/lists/links.csv")
        assert (path.name, path.read_bytes()) == ("links.csv", b"url\n")
        assert [each.name for each in copy("s3://bucket/lists/parts").iterdir()] == ["0.parquet"]
        assert copy("links.csv") == Path("links.csv")
        with pytest.raises(StorageError, match=r"s3://bucket/lists/none\.csv cannot be copied"):
            copy("s3://bucket/lists/none.csv")
    assert not path.exists()


def test_a_network_is_copied_once_a_machine_and_checked_whenever_it_is_read(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = "s3://bucket/network"
    with pytest.raises(WeightsError, match="There is no backbone at s3://bucket/network"):
        local_backbone(place)
    content = b"a network"
    made = BackboneManifest(
        backbone_id="b" * 64,
        **INCEPTION_V3.model_dump(),
        source="random",
        license="none",
        files={ONNX_FILE: hashlib.sha256(content).hexdigest()},
        versions={},
    )
    write_manifest(tmp_path, made)
    bucket.store("network").write_bytes(ONNX_FILE, content)
    bucket.store("network").upload(tmp_path / MANIFEST_FILE, MANIFEST_FILE)
    directory = local_backbone(place, ONNX_FILE)
    bucket.requests.clear()
    assert local_backbone(place, ONNX_FILE) == directory
    assert {request.partition("?")[0].rpartition("/")[2] for request in bucket.requests} == {
        "manifest.json"
    }
    manifest = read_manifest(directory)
    assert read_file(directory, manifest, ONNX_FILE) == content
    (directory / ONNX_FILE).write_bytes(b"other")
    with pytest.raises(WeightsError, match="was changed or truncated"):
        read_file(directory, manifest, ONNX_FILE)


def test_a_cache_that_others_may_write_is_refused(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = tmp_path / "trailergenre" / "backbones"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    bucket.store("any").write_bytes("manifest.json", b"{}")
    with pytest.raises(WeightsError, match="can be written by other users"):
        local_backbone("s3://bucket/any")
