from __future__ import annotations

import hashlib
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load, save

from bombs import MEGABYTE, assert_is_refused, parquet, repeated
from bundles import make_bundle, make_forest, make_manifest
from runs import SETTINGS
from trailergenre.base.errors import BundleError, ForeignFileError
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store
from trailergenre.models.bundle import check_fits, read_bundle


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "bundle"))


def edit_manifest(store: Store, edit: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(store.read_bytes("manifest.json"))
    edit(record)
    store.write_bytes("manifest.json", json.dumps(record).encode())


def replace_file(store: Store, name: str, content: bytes) -> None:
    """Put another file into a bundle, with its right checksum."""
    store.write_bytes(name, content)
    checksum = hashlib.sha256(content).hexdigest()
    edit_manifest(store, lambda record: record["files"].update({name: checksum}))


def test_what_was_written_is_read_back(store: Store) -> None:
    written = make_bundle(store)
    read = read_bundle(store)
    assert read.manifest == written.manifest
    assert read.sha256 == written.sha256
    assert read.split.equals(written.split)
    link = LinkFrames("a", np.zeros((2, SETTINGS.width), np.float32), np.arange(2.0))
    assert read.scorer.predict_proba([link, link]).tolist() == [[0.1, 0.2, 0.3, 0.4]] * 2


def test_a_bundle_is_four_files(store: Store) -> None:
    make_bundle(store)
    names = [file.path for file in store.list_files("")]
    assert names == ["MODEL_CARD.md", "forest.safetensors", "manifest.json", "split.parquet"]


def test_genres_are_ranked(store: Store) -> None:
    bundle = make_bundle(store)
    ranked = bundle.rank_genres(np.array([0.1, 0.7, 0.7, 0.2]))
    assert [(score.genre, score.probability) for score in ranked] == [
        ("Comedy", 0.7),
        ("Drama", 0.7),
        ("Horror", 0.2),
        ("Action", 0.1),
    ]


def test_nothing_there_names_what_makes_one(store: Store) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*trailergenre train.*demo"):
        read_bundle(store)


@pytest.mark.parametrize("name", ["forest.safetensors", "split.parquet"])
def test_a_changed_byte_is_noticed(store: Store, name: str) -> None:
    make_bundle(store)
    content = bytearray(store.read_bytes(name))
    content[len(content) // 2] ^= 1
    store.write_bytes(name, bytes(content))
    with pytest.raises(BundleError, match=f"{name} .* damaged or was changed"):
        read_bundle(store)


@pytest.mark.parametrize("name", ["forest.safetensors", "split.parquet", "manifest.json"])
def test_a_missing_file_is_named(store: Store, name: str) -> None:
    make_bundle(store)
    store.delete(name)
    with pytest.raises(BundleError, match=re.escape(f"({name} is missing)")):
        read_bundle(store)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda r: r.update(format="trailergenre-bundle-2"), r"format.*Train it again"),
        (lambda r: r.pop("format"), r"format None.*Train it again"),
        (lambda r: r.update(surprise=1), "surprise"),
        (lambda r: r.pop("thresholds"), "thresholds"),
        (lambda r: r.update(thresholds=[0.5, 0.5, 0.5, 1.5]), "thresholds"),
        (lambda r: r["thresholds"].pop(), "one threshold, one share"),
        (lambda r: r.update(genres=["A", "A", "B", "C"]), "one threshold, one share"),
        (lambda r: r["training"]["genre_shares"].pop(), "one threshold, one share"),
        (lambda r: r["rows_config"].update(statistics=["median"]), "statistics"),
        (lambda r: r["calibration"]["curves"].pop(), "one curve for each"),
        (lambda r: r["parameters"].update(c=1), "parameters"),
        (lambda r: r.update(model="logistic"), "logistic.safetensors is missing"),
        (lambda r: r.update(rows="frames"), "does not fit its manifest"),
        (lambda r: r["backbone"].update(width=107), "does not fit its manifest"),
        (lambda r: r["sampling"].update(frames_per_s=0), "frames_per_s"),
        (lambda r: r.pop("files"), "names no files"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(
    store: Store, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    make_bundle(store)
    edit_manifest(store, edit)
    with pytest.raises(BundleError, match=reason):
        read_bundle(store)


def test_a_manifest_that_is_not_json_is_refused(store: Store) -> None:
    make_bundle(store)
    store.write_bytes("manifest.json", b"\xff{")
    with pytest.raises(BundleError, match="not JSON"):
        read_bundle(store)


def announced(dtype: str, shape: list[int], n_bytes: int) -> bytes:
    """A safetensors file of one array, with 16 bytes of values."""
    array = {"dtype": dtype, "shape": shape, "data_offsets": [0, n_bytes]}
    header = json.dumps({"offsets": array}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        pickle.dumps([1.0]),
        b"\xff" * 64,
        announced("F64", [1000], 8000),
        announced("F64", [10**18, 10**18], 16),
        announced("F64", [3], 16),
        announced("BF16", [8], 16),
        announced("OBJECT", [2], 16),
    ],
)
def test_broken_arrays_are_refused(store: Store, content: bytes) -> None:
    make_bundle(store)
    replace_file(store, "forest.safetensors", content)
    with pytest.raises(BundleError, match="not a forest"):
        read_bundle(store)


def test_oversize_files_are_refused_before_they_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(store)
    for name, limit in (
        ("forest.safetensors", "_MAX_FILE_BYTES"),
        ("manifest.json", "_MAX_MANIFEST_BYTES"),
    ):
        monkeypatch.setattr(f"trailergenre.models.bundle.{limit}", 10)
        with pytest.raises(BundleError, match=rf"{name} in .* bytes; the limit is 10"):
            read_bundle(store)


def test_a_manifest_that_is_nested_too_deeply_is_refused(store: Store) -> None:
    make_bundle(store)
    store.write_bytes("manifest.json", b"[" * 500_000)
    with pytest.raises(BundleError, match="not JSON"):
        read_bundle(store)


def test_a_split_that_would_take_gigabytes_is_refused(store: Store) -> None:
    make_bundle(store)
    column = repeated(MEGABYTE, 100_000)
    table = pa.table(dict.fromkeys(("link_id", "movie_id", "part"), column))
    replace_file(store, "split.parquet", parquet(table, store_schema=False))
    assert len(store.read_bytes("split.parquet")) < 5000
    assert_is_refused("bundle", store.local_path(""), r"split\.parquet in .* unpacks to more than")


def test_more_rows_of_the_split_than_any_list_has_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(store)
    monkeypatch.setattr("trailergenre.models.bundle._MAX_SPLIT_ROWS", 3)
    with pytest.raises(BundleError, match=r"4 rows .* 3 and 9 are allowed"):
        read_bundle(store).check_split()


def write_arrays(store: Store, **arrays: Any) -> None:
    """Replace some of the forest's arrays, with the right checksum."""
    whole = load(store.read_bytes("forest.safetensors"))
    replace_file(store, "forest.safetensors", save(whole | arrays))


@pytest.mark.parametrize(
    "arrays",
    [
        {"extra": np.zeros(1)},
        {"n_features": np.array([3 * SETTINGS.width, 1])},
        {"n_features": np.array(6143)},
        {"threshold": np.full(4, np.nan)},
        {"threshold": np.full((2, 2), 0.0)},
        {"value": np.full((4, 1), np.nan)},
        {"value": np.zeros((4, 0))},
        {"offsets": np.array([0, 1, 2, 3, 10**12])},
        {"first_genre": np.array([0, 1, 2, -1], np.int32)},
        {"left": np.zeros(4, np.int64)},
        {"left": np.array([-1, -1, -1, 0], np.int32), "right": np.array([-1, -1, -1, 0], np.int32)},
    ],
    ids=str,
)
def test_arrays_that_are_no_forest_are_refused(store: Store, arrays: dict[str, Any]) -> None:
    make_bundle(store)
    write_arrays(store, **arrays)
    with pytest.raises(BundleError, match="forest"):
        read_bundle(store)


LOADS = """
import sys
import numpy as np
from trailergenre.features.backbone import load_embedder
from trailergenre.models.bundle import read_bundle
from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import RunError
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store

good, bad, backbone = sys.argv[1:]

def load():
    link = LinkFrames("a", np.zeros((2, 2048), "f4"), np.arange(2.0))
    read_bundle(Store(good)).scorer.predict_proba([link])
    config = BackboneConfig(path=backbone)
    load_embedder(config).embed(np.zeros((1, 299, 299, 3), "u1"))

load()  # what the package itself imports late is no affair of the files
print(sorted({"sklearn", "pyspark", "tensorflow"} & set(sys.modules)))
seen = []
RUNS = ("pickle.find_class", "marshal.load", "import", "exec", "compile")
sys.addaudithook(lambda name, given: seen.append((name, given)) if name.startswith(RUNS) else None)
load()
try:
    read_bundle(Store(bad))
except RunError:
    print("refused")
print(seen)
"""


def test_loading_runs_no_code(store: Store, tmp_path: Path, tiny_backbone: Path) -> None:
    """Of a good bundle, of one whose arrays are a pickle, and of a backbone; nor a trainer's."""
    bad = Store(str(tmp_path / "bad"))
    for each in (store, bad):
        make_bundle(each)
    replace_file(bad, "forest.safetensors", pickle.dumps(make_forest()))
    ended = subprocess.run(
        [sys.executable, "-c", LOADS, str(store), str(bad), str(tiny_backbone)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "[]\nrefused\n[]\n"


def test_a_forest_of_other_genres_is_refused(store: Store) -> None:
    make_bundle(store, model=make_forest((0.1, 0.2)))
    with pytest.raises(BundleError, match=r"predicts 2 genres; that does not fit .* 4 genres"):
        read_bundle(store)


def test_an_unsound_forest_is_not_written(store: Store) -> None:
    broken = replace(make_forest(), value=np.full((4, 1), 2.0))
    with pytest.raises(BundleError, match=r"outside 0\.\.1"):
        make_bundle(store, model=broken)
    assert not store.exists("manifest.json")


@pytest.mark.parametrize("part", ["holdout", None])
def test_a_split_with_an_unknown_part_is_refused(store: Store, part: str | None) -> None:
    make_bundle(store, parts={"a": part})  # type: ignore[dict-item]
    with pytest.raises(BundleError, match=f"parts that do not exist: {part!r}"):
        read_bundle(store).check_split()


def test_the_same_settings_fit(store: Store) -> None:
    assert check_fits(make_bundle(store), SETTINGS) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone_id": "c" * 64}, f"backbone: {'b' * 64} -> {'c' * 64}"),
        ({"frames_per_s": 2.0}, "frames per second: 1.0 -> 2.0"),
        ({"frame_side_px": 224}, "frame side: 299 -> 224"),
    ],
)
def test_another_backbone_or_sampling_is_refused(
    store: Store, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        check_fits(make_bundle(store), replace(SETTINGS, **change))


def test_a_bundle_of_external_features_says_what_it_scores(store: Store) -> None:
    name = "published:trailers12k/trailers_i_swin_fpc24"
    manifest = make_manifest()
    backbone = manifest.backbone.model_copy(update={"backbone_id": name})
    bundle = make_bundle(store, manifest=manifest.model_copy(update={"backbone": backbone}))
    assert check_fits(bundle, replace(SETTINGS, backbone_id=name)) == []
    with pytest.raises(BundleError, match=f"external features, {name}, and scores those alone"):
        check_fits(bundle, SETTINGS)


def test_another_precision_is_only_told(store: Store) -> None:
    notes = check_fits(make_bundle(store), replace(SETTINGS, precision="int8"))
    assert notes == ["The bundle was trained on fp32 features; these are int8."]


def test_random_weights_and_shuffled_labels_are_said_with_every_score(store: Store) -> None:
    honest = make_bundle(store)
    assert honest.warnings == []
    warned = make_bundle(
        store, manifest=make_manifest(weights="random(seed=7)", shuffled=True)
    ).warnings
    assert len(warned) == 2
    assert "random" in warned[0]
    assert "shuffled" in warned[1]


@pytest.mark.parametrize("name", ["manifest.json", "split.parquet", "MODEL_CARD.md"])
@pytest.mark.parametrize("content", [b"", b'{"name": "my extension"}', b"# Another model"])
def test_files_of_others_are_not_replaced(store: Store, name: str, content: bytes) -> None:
    store.write_bytes(name, content)
    with pytest.raises(ForeignFileError, match=f"{name} was not written by trailergenre"):
        make_bundle(store)
    assert store.read_bytes(name) == content
    assert len(store.list_all_files("")) == 1


@pytest.mark.parametrize(
    "record", [{"format": "x", "files": {}}, {"format": "trailergenre-bundle-3", "files": []}, []]
)
def test_a_manifest_that_is_not_a_bundles_is_not_replaced(store: Store, record: object) -> None:
    store.write_bytes("manifest.json", json.dumps(record).encode())
    with pytest.raises(ForeignFileError, match=r"manifest\.json was not written"):
        make_bundle(store)
    assert json.loads(store.read_bytes("manifest.json")) == record


def test_a_model_of_others_beside_a_bundle_is_not_deleted(store: Store) -> None:
    make_bundle(store)
    store.write_bytes("temporal.onnx", b"mine")
    with pytest.raises(ForeignFileError, match=r"temporal\.onnx was not written"):
        make_bundle(store)
    assert store.read_bytes("temporal.onnx") == b"mine"


def test_half_a_bundle_is_none_and_may_be_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(store)
    write_bytes = Store.write_bytes

    def dies(self: Store, path: str, content: bytes) -> None:
        if path == "split.parquet":
            raise KeyboardInterrupt
        write_bytes(self, path, content)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Store, "write_bytes", dies)
        make_bundle(store)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_bundle(store)
    make_bundle(store)
    read_bundle(store)
