"""A model bundle: a directory with a manifest, the model and the split it was trained on.

    manifest.json                         what the model is, and the SHA-256 of the other files
    MODEL.safetensors or temporal.onnx    the model
    split.parquet                         link_id, movie_id, part
    MODEL_CARD.md                         the manifest for people

Reading a bundle runs no code from it, validates everything, and needs no Spark or scikit-learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from trailergenre.base.errors import BundleError, ForeignFileError, StorageError
from trailergenre.base.records import GenreScore
from trailergenre.base.storage import Store
from trailergenre.base.untrusted_parquet import unpack_parquet
from trailergenre.links.labelled_links import Part
from trailergenre.models.manifest import FORMAT, Manifest
from trailergenre.models.model_card import find_warnings, render_card
from trailergenre.models.scorer import MODEL_FILES, Model, Scorer
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import EXTERNAL, FeatureSettings

_SPLIT = pa.schema([("link_id", pa.string()), ("movie_id", pa.string()), ("part", pa.string())])

_ANY_FORMAT = FORMAT.rpartition("-")[0]
_MAX_MANIFEST_BYTES = 8 << 20
"""Isotonic curves of 20 genres and 5,000 movies take 4 MB."""
_MAX_FILE_BYTES = 2 << 30
"""2,200 trees of 4,096 leaves take 0.5 GB."""
_MAX_SPLIT_ROWS = 2_000_000


@dataclass(frozen=True)
class Bundle:
    """A model that is ready to score; `sha256` is of manifest.json and identifies the bundle."""

    store: Store  # where it is
    manifest: Manifest
    scorer: Scorer
    split_content: bytes = field(repr=False)
    sha256: str

    @cached_property
    def split(self) -> pa.Table:
        """The part of each link: link_id, movie_id, part; a BundleError if it is invalid.

        It is unpacked when it is asked for: scoring does not need it.
        """
        return _parse_split(self.split_content, self.store)

    def check_split(self) -> None:
        """Raise BundleError if the split is invalid."""
        assert self.split is not None

    def rank_genres(self, probabilities: NDArray[np.float64]) -> list[GenreScore]:
        """Rank one row of probabilities; ties go to the genre with more movies."""
        values = zip(
            self.manifest.genres, probabilities.tolist(), self.manifest.thresholds, strict=True
        )
        scores = [GenreScore(genre, p, at, p >= at) for genre, p, at in values]
        return sorted(scores, key=lambda score: -score.probability)

    @property
    def warnings(self) -> list[str]:
        """What must be shown with every score."""
        return find_warnings(self.manifest)


def write_bundle(store: Store, *, manifest: Manifest, model: Model, split: pa.Table) -> Bundle:
    """Write a bundle into its directory; its manifest last, so that half a bundle is none.

    `split` has link_id, movie_id and part.
    """
    model_file = MODEL_FILES[manifest.model]
    files = {
        model_file.name: model_file.to_bytes(model),
        "split.parquet": tables.to_parquet(split.cast(_SPLIT)),
        "MODEL_CARD.md": render_card(manifest).encode(),
    }
    check_replaceable(store)
    withdraw_bundle(store)
    for name, content in files.items():
        store.write_bytes(name, content)
    for other in {each.name for each in MODEL_FILES.values()} - set(files):
        store.delete(other)
    record = manifest.model_dump(mode="json")
    record["files"] = {name: _sha256(content) for name, content in files.items()}
    content = (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()
    store.write_bytes("manifest.json", content)
    split_content = files["split.parquet"]
    return Bundle(store, manifest, _scorer(manifest, model), split_content, _sha256(content))


FILES = ("split.parquet", "MODEL_CARD.md", *(each.name for each in MODEL_FILES.values()))


def withdraw_bundle(store: Store) -> None:
    """Leave a manifest that is invalid, but says that all files are ours: they are replaced."""
    record = {"format": FORMAT, "files": dict.fromkeys(FILES, "")}
    store.write_bytes("manifest.json", json.dumps(record).encode())


def check_replaceable(store: Store) -> None:
    """Refuse to write a bundle over files that are not a bundle's.

    Raises:
        ForeignFileError: names the first file that the manifest there does not name.
    """
    ours: dict[str, str] = {}
    if store.exists("manifest.json"):
        try:
            record = json.loads(_read(store, "manifest.json", _MAX_MANIFEST_BYTES))
        except (ValueError, RecursionError, BundleError):
            record = None
        is_manifest = isinstance(record, dict) and str(record.get("format")).startswith(_ANY_FORMAT)
        if not is_manifest or not isinstance(record.get("files"), dict):
            raise ForeignFileError(store.child("manifest.json"), "give another --bundle")
        ours = record["files"]
    for name in FILES:
        if name not in ours and store.exists(name):
            raise ForeignFileError(store.child(name), "give another --bundle")


def read_bundle(store: Store) -> Bundle:
    """Read a bundle; a BundleError if it is missing, changed or invalid."""
    content = _read(store, "manifest.json", _MAX_MANIFEST_BYTES)
    manifest, checksums = _parse_manifest(content, store)
    model_file = MODEL_FILES[manifest.model]
    files = {}
    for name in (model_file.name, "split.parquet", "MODEL_CARD.md"):
        files[name] = _read(store, name, _MAX_FILE_BYTES)
        if _sha256(files[name]) != checksums.get(name):
            raise BundleError(
                f"{name} in {store} is damaged or was changed: it has another checksum than in the "
                "manifest. Copy the bundle again or train it again."
            )
    try:
        model = model_file.from_bytes(files[model_file.name])
    except BundleError as error:
        raise BundleError(f"{model_file.name} in {store} cannot be used: {error}") from error
    scorer = _scorer(manifest, model)
    width, n_genres = manifest.backbone.width, len(manifest.genres)
    if not scorer.fits(width=width, n_genres=n_genres):
        raise BundleError(
            f"The model in {store} takes {model.n_features} values and predicts {model.n_genres} "
            f"genres; that does not fit its manifest's {width} features per frame and {n_genres} "
            "genres. Train the bundle again."
        )
    return Bundle(store, manifest, scorer, files["split.parquet"], _sha256(content))


def _scorer(manifest: Manifest, model: Model) -> Scorer:
    return Scorer(model, manifest.rows, manifest.rows_config, manifest.calibration)


def _read(store: Store, name: str, max_bytes: int) -> bytes:
    if not store.exists(name):
        raise BundleError(
            f"There is no model bundle at {store} ({name} is missing). "
            "Train one with `trailergenre train`, or make one with `trailergenre demo`."
        )
    try:
        with store.open_input(name) as stream:
            size_bytes = stream.size()
            content = bytes(stream.read(max_bytes)) if size_bytes <= max_bytes else None
    except StorageError as error:
        raise BundleError(f"The model bundle cannot be read: {error}") from error
    if content is None:
        raise BundleError(f"{name} in {store} has {size_bytes} bytes; the limit is {max_bytes}.")
    return content


def _parse_manifest(content: bytes, store: Store) -> tuple[Manifest, dict[str, str]]:
    try:
        record = json.loads(content)
        if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
            raise BundleError(f"manifest.json in {store} is not a bundle's: it names no files.")
        if record.get("format") != FORMAT:
            raise BundleError(
                f"The bundle at {store} has the format {record.get('format')!r}; this version "
                f"reads {FORMAT}. Train it again with `trailergenre train`."
            )
        checksums = record.pop("files")
        manifest = Manifest.model_validate_json(json.dumps(record))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise BundleError(f"manifest.json in {store} is invalid: {'; '.join(problems)}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json in {store} is not JSON: {error}.") from error
    shares, curves = manifest.training.genre_shares, manifest.calibration.curves
    per_genre = (set(manifest.genres), manifest.thresholds, shares, curves)
    if any(len(values) != len(manifest.genres) for values in per_genre):
        raise BundleError(
            f"manifest.json in {store} does not have one threshold, one share and one curve for "
            "each genre, or names a genre twice."
        )
    return manifest, checksums


def _parse_split(content: bytes, store: Store) -> pa.Table:
    try:
        split = unpack_parquet(
            content, max_rows=_MAX_SPLIT_ROWS, max_values=len(_SPLIT) * _MAX_SPLIT_ROWS
        )
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"split.parquet in {store} cannot be read: {error}.") from error
    if not split.schema.equals(_SPLIT):
        raise BundleError(f"split.parquet in {store} lacks the columns {_SPLIT.names}.")
    unknown = set(split["part"].to_pylist()) - set(Part)
    if unknown:
        names = ", ".join(sorted(map(repr, unknown))[:3])
        raise BundleError(
            f"split.parquet in {store} names parts that do not exist: {names}. Copy the bundle "
            "again or train it again."
        )
    return split


def fits(bundle: Bundle) -> Callable[[FeatureSettings], bool]:
    """Whether features are of the bundle's backbone and sampling."""

    def is_fitting(settings: FeatureSettings) -> bool:
        try:
            return not check_fits(bundle, settings)
        except BundleError:
            return False

    return is_fitting


def check_network(bundle: Bundle) -> None:
    """Refuse a bundle of external features, which no network here gives.

    Raises:
        BundleError: it is one.
    """
    backbone_id = bundle.manifest.backbone.backbone_id
    if backbone_id.startswith(f"{EXTERNAL}:"):
        raise BundleError(
            f"The bundle was trained on external features, {backbone_id}, and scores "
            "those alone: no network here gives the same. Prepare a run from the same set and "
            "`predict` it, or train a bundle on features of your own."
        )


def check_fits(bundle: Bundle, settings: FeatureSettings) -> list[str]:
    """Refuse features of another backbone or sampling; return notes on another precision.

    Raises:
        BundleError: the model was not trained on such features.
    """
    backbone, sampling = bundle.manifest.backbone, bundle.manifest.sampling
    pairs = [
        ("backbone", backbone.backbone_id, settings.backbone_id),
        ("frames per second", sampling.frames_per_s, settings.frames_per_s),
        ("frame side", sampling.frame_side_px, settings.frame_side_px),
        ("features per frame", backbone.width, settings.width),
    ]
    problems = [f"{name}: {ours} -> {theirs}" for name, ours, theirs in pairs if ours != theirs]
    if problems:
        check_network(bundle)
        raise BundleError(
            f"The bundle was trained on other features ({'; '.join(problems)}). Use the bundle's "
            "backbone and sampling, or train a bundle on these features."
        )
    ours, theirs = backbone.precision, settings.precision
    note = f"The bundle was trained on {ours} features; these are {theirs}."
    return [note] if ours != theirs else []


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
