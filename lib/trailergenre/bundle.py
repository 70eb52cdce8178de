"""A model bundle: a folder with a manifest, the forest as arrays and the split it was trained on.

    manifest.json   what the model is, what it was trained on, and the SHA-256 of the other files
    forest.npz      the arrays of `trailergenre.forest`
    split.parquet   link_id, movie_id, part

No pickle anywhere: what is read is checked before it is used. Knows nothing of Spark or of
scikit-learn; reading one and scoring needs numpy and pyarrow.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from trailergenre import tables
from trailergenre.arrays import read_arrays
from trailergenre.errors import BundleError, StorageError
from trailergenre.fingerprint import FeatureSettings
from trailergenre.forest import Forest, check_forest
from trailergenre.manifest import Manifest
from trailergenre.parquet import parse_parquet
from trailergenre.pooling import N_POOLED, STATISTICS
from trailergenre.records import GenreScore, ProbabilityArray
from trailergenre.storage import Store

_SPLIT = pa.schema([("link_id", pa.string()), ("movie_id", pa.string()), ("part", pa.string())])
_PARTS = {"train", "validation", "test"}

_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 30
_MAX_FOREST_BYTES = 2 << 30
"""Unpacked: 2,200 trees of 4,096 leaves are 0.5 GB."""
_MAX_SPLIT_ROWS = 10_000_000


@dataclass(frozen=True)
class Bundle:
    """A model that is ready to score.

    Attributes:
        manifest: what it is.
        forest: its arrays.
        split: table of link_id, movie_id and part (train, validation, test).
        sha256: of manifest.json; names the bundle in reports.
    """

    manifest: Manifest
    forest: Forest
    split: pa.Table
    sha256: str

    def predict_proba(self, pooled: NDArray[np.float32]) -> ProbabilityArray:
        """Score pooled rows, shape (n, 6144); see `Forest.predict_proba`."""
        return self.forest.predict_proba(pooled)

    def top_genres(self, probabilities: NDArray[np.float64], n: int) -> list[GenreScore]:
        """Rank one row of probabilities; ties go to the genre with more movies."""
        order = np.argsort(-probabilities, kind="stable")[:n]
        return [GenreScore(self.manifest.genres[k], float(probabilities[k])) for k in order]

    @property
    def warnings(self) -> list[str]:
        """What every score of this bundle must say beside itself."""
        notes = []
        if self.manifest.backbone.weights.startswith("random"):
            notes.append(
                "The network's weights are random: the scores show that the pipeline works, "
                "not what a movie is."
            )
        if self.manifest.training.shuffled_labels:
            notes.append("This is a control model, trained on shuffled labels: it knows nothing.")
        return notes


def write_bundle(store: Store, *, manifest: Manifest, forest: Forest, split: pa.Table) -> Bundle:
    """Write a bundle; the manifest last, so that a broken write is no bundle.

    Args:
        store: the bundle's own folder.
        manifest: what the model is.
        forest: its arrays.
        split: link_id, movie_id, part.
    """
    check_forest(forest)
    arrays = io.BytesIO()
    named: dict[str, Any] = {
        field.name: np.asarray(getattr(forest, field.name), order="C") for field in fields(forest)
    }
    np.savez_compressed(arrays, allow_pickle=False, **named)
    files = {
        "forest.npz": arrays.getvalue(),
        "split.parquet": tables.to_parquet(split.cast(_SPLIT)),
    }
    store.delete("manifest.json")
    for name, content in files.items():
        store.write_bytes(name, content)
    record = manifest.model_dump(mode="json")
    record["files"] = {name: _sha256(content) for name, content in files.items()}
    content = (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()
    store.write_bytes("manifest.json", content)
    return Bundle(manifest, forest, split, _sha256(content))


def read_bundle(store: Store) -> Bundle:
    """Read a bundle and check all of it.

    Raises:
        BundleError: it is not there, was changed or is not one; says what is wrong.
    """
    content = _read(store, "manifest.json", _MAX_MANIFEST_BYTES)
    manifest, checksums = _parse_manifest(content, store)
    parts = {}
    for name in ("forest.npz", "split.parquet"):
        parts[name] = _read(store, name, _MAX_FILE_BYTES)
        if _sha256(parts[name]) != checksums.get(name):
            raise BundleError(
                f"{name} below {store} is damaged or was changed: its checksum is not the "
                "manifest's. Copy the bundle again or train it again."
            )
    forest = _parse_forest(parts["forest.npz"], store)
    if forest.n_genres != len(manifest.genres) or forest.n_features != N_POOLED:
        raise BundleError(
            f"The forest below {store} takes {forest.n_features} values and gives "
            f"{forest.n_genres} genres; expected {N_POOLED} and {len(manifest.genres)}."
        )
    return Bundle(manifest, forest, _parse_split(parts["split.parquet"], store), _sha256(content))


def _read(store: Store, name: str, max_bytes: int) -> bytes:
    if not store.exists(name):
        raise BundleError(
            f"There is no model bundle at {store} ({name} is missing). "
            "Train one with jobs/train_model.py, or make one with `trailergenre demo`."
        )
    try:
        with store.open_input(name) as stream:
            size_bytes = stream.size()
            content = bytes(stream.read(max_bytes)) if size_bytes <= max_bytes else None
    except StorageError as error:
        raise BundleError(f"The model bundle cannot be read: {error}") from error
    if content is None:
        raise BundleError(
            f"{name} below {store} has {size_bytes} bytes; at most {max_bytes} are read."
        )
    return content


def _parse_manifest(content: bytes, store: Store) -> tuple[Manifest, dict[str, str]]:
    try:
        record = json.loads(content)
        if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
            raise BundleError(f"manifest.json below {store} is not a bundle's: it names no files.")
        checksums = record.pop("files")
        manifest = Manifest.model_validate_json(json.dumps(record))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise BundleError(f"manifest.json below {store} cannot be used: {problems}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json below {store} is not JSON: {error}.") from error
    n_genres = len(manifest.genres)
    if len(set(manifest.genres)) != n_genres or len(manifest.thresholds) != n_genres:
        raise BundleError(f"manifest.json below {store} has not one threshold for each genre.")
    if len(manifest.training.genre_shares) != n_genres or manifest.pooling != STATISTICS:
        raise BundleError(
            f"manifest.json below {store} has not one share for each genre, or is pooled by "
            f"{manifest.pooling} (known: {STATISTICS})."
        )
    return manifest, checksums


def _parse_forest(content: bytes, store: Store) -> Forest:
    try:
        loaded = read_arrays(content, max_bytes=_MAX_FOREST_BYTES)
        forest = Forest(**{**loaded, "n_features": loaded["n_features"].item()})
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"forest.npz below {store} is not a forest: {error}.") from error
    check_forest(forest)
    return forest


def _parse_split(content: bytes, store: Store) -> pa.Table:
    try:
        split = parse_parquet(content, max_rows=_MAX_SPLIT_ROWS)
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"split.parquet below {store} cannot be read: {error}.") from error
    if not split.schema.equals(_SPLIT) or not _PARTS.issuperset(split["part"].to_pylist()):
        raise BundleError(f"split.parquet below {store} has not the columns {_SPLIT.names}.")
    return split


def check_fits(bundle: Bundle, settings: FeatureSettings) -> list[str]:
    """Refuse features that the model was not made for.

    Args:
        bundle: the model.
        settings: what the features to be scored are made with.

    Returns:
        Differences that are allowed and should be told: another precision.

    Raises:
        BundleError: another backbone or another sampling.
    """
    manifest = bundle.manifest
    pairs = [
        ("backbone", manifest.backbone.backbone_id, settings.backbone_id),
        ("frames per second", manifest.sampling.frames_per_s, settings.frames_per_s),
        ("frame side", manifest.sampling.frame_side_px, settings.frame_side_px),
    ]
    problems = [f"{name}: {ours} -> {theirs}" for name, ours, theirs in pairs if ours != theirs]
    if problems:
        raise BundleError(
            f"The bundle was trained on other features ({'; '.join(problems)}). Use the bundle's "
            "backbone and sampling, or train a bundle on these features."
        )
    if manifest.backbone.precision != settings.precision:
        return [
            f"The bundle was trained on {manifest.backbone.precision} features; these are "
            f"{settings.precision}."
        ]
    return []


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
