"""The files of a backbone artefact, their identity and their integrity.

DIR/manifest.json         backbone_id, the network's `NetworkSpec`, source and licence of its
                          weights, SHA-256 of the files
DIR/network.onnx          uint8 RGB (n, height, width, 3) -> float32 (n, width of the output),
                          preprocessing inside
DIR/weights.safetensors   the same weights as arrays, for engines that build the network in code; an
                          imported network has none
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from trailergenre.base.errors import ForeignFileError, StorageError, WeightsError
from trailergenre.base.storage import Store
from trailergenre.features.backbone.spec import NetworkSpec, compute_backbone_id, hash_weights

_MAX_MANIFEST_BYTES = 1 << 20

MANIFEST_FILE = "manifest.json"
ONNX_FILE = "network.onnx"
WEIGHTS_FILE = "weights.safetensors"

EXPORT_AGAIN = "Export it again."


class Quantization(BaseModel):
    """The representative frames of an int8 network, and its distance from fp32 on other frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str  # of the representative frames
    n_frames: int
    n_judged: int  # number of the other frames
    is_held_out: bool = False  # the other frames are of other videos, not neighbours in the same
    weight_bits: Literal[7, 8]  # 7 where the exporting CPU cannot compute with 8
    fp32_convolutions: int  # the network's first ones, which keep float32
    cosine_p1: float  # 1st percentile of the cosine to fp32, after subtracting the mean
    rms_share: float  # rms(int8 - fp32) over the rms spread between frames

    def line(self, weights: str) -> str:
        """Describe the distance in one line."""
        frames = (
            f"{self.n_judged} frames of other videos than the {self.n_frames} representative ones"
            if self.is_held_out
            else f"{self.n_judged} neighbours of the {self.n_frames} representative frames, which "
            "is optimistic: give several videos"
        )
        text = (
            f"weights {weights}: cosine {self.cosine_p1:.4f} (1st percentile), rms difference "
            f"{self.rms_share:.4f} of the spread, on {frames}; {self.weight_bits}-bit weights, the "
            f"first {self.fp32_convolutions} convolutions in fp32"
        )
        if weights.startswith("random"):
            text += "; random weights say nothing about ImageNet's"
        return text


class BackboneManifest(NetworkSpec):
    """The manifest of an artefact."""

    format_version: Literal[3] = 3
    backbone_id: str  # SHA-256 of the spec and the weights; not of the precision
    source: str  # of the weights: `imagenet`, `random(seed=7)` or a file name
    license: str  # of the weights
    precision: Literal["fp32", "int8"] = "fp32"  # of the ONNX file's arithmetic
    calibration: Quantization | None = None  # of an int8 network
    files: dict[str, str]  # file name -> SHA-256
    versions: dict[str, str]  # program -> version at export

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.precision == "int8") != (self.calibration is not None):
            raise ValueError("calibration belongs to int8 alone")
        if self.calibration and ONNX_FILE not in self.files:
            raise ValueError(f"the SHA-256 of {ONNX_FILE} is missing")
        return self

    @property
    def int8_sha256(self) -> str:
        """SHA-256 of an int8 network's file; empty for fp32.

        The frames alone do not identify it: versions of ONNX Runtime quantize differently.
        """
        return self.files[ONNX_FILE] if self.calibration else ""

    @property
    def is_random(self) -> bool:
        """Whether the weights are random, for tests and the demo only."""
        return self.source.startswith("random")


def write_manifest(directory: Path, manifest: BackboneManifest) -> None:
    """Write the manifest, after all other files: a directory without it is an unfinished export."""
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def local_backbone(place: str, *names: str) -> Path:
    """The directory of a backbone on this machine, with its manifest and files of these `names`.

    What an address holds is copied to the user's cache, once a machine, below the hash of its
    manifest. Whoever reads a file checks its SHA-256.

    Raises:
        WeightsError: there is no backbone at the address.
    """
    if "://" not in place:
        return Path(place).expanduser()
    store = Store(place)
    if store.is_local:
        return store.local_path("")
    try:
        content = store.read_bytes(MANIFEST_FILE)
        directory = cache_directory("backbones") / hashlib.sha256(content).hexdigest()
        directory.mkdir(exist_ok=True)
        with (directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name in names:
                if not (directory / name).exists():
                    store.download(name, directory / f"{name}-unfinished")
                    (directory / f"{name}-unfinished").replace(directory / name)
            (directory / MANIFEST_FILE).write_bytes(content)
    except StorageError as error:
        raise WeightsError(
            f"There is no backbone at {store}: {error}.",
            "Copy the directory that `trailergenre backbone export` wrote to that address.",
        ) from error
    return directory


def absolute_place(place: str) -> str:
    """A backbone's address, or its path in a form that does not depend on who reads it."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


def cache_directory(name: str) -> Path:
    """A directory of this user alone, `backbones` or `bundles`; containers may have no home."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        directory = cache / "trailergenre" / name
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        directory = Path(gettempdir(), f"trailergenre-{name}-{os.getuid()}")
        directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise WeightsError(
            f"{directory} can be written by other users.", "Set XDG_CACHE_HOME to your own cache."
        )
    return directory


def read_manifest(directory: Path) -> BackboneManifest:
    """Read the manifest alone; a missing or invalid one is a WeightsError."""
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise WeightsError(
            f"There is no backbone in {directory}.",
            f"Make one with: trailergenre backbone export --weights imagenet --out {directory}",
        )
    with path.open("rb") as stream:
        content = stream.read(_MAX_MANIFEST_BYTES + 1)
    if len(content) > _MAX_MANIFEST_BYTES:
        raise WeightsError(f"{path} has more than {_MAX_MANIFEST_BYTES} bytes.", EXPORT_AGAIN)
    try:
        return BackboneManifest.model_validate_json(content)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, problem["loc"]), problem["msg"]]) for problem in error.errors()
        )
        raise WeightsError(
            f"The manifest {path} cannot be used: {problems}.", EXPORT_AGAIN
        ) from error


def read_file(directory: Path, manifest: BackboneManifest, name: str) -> bytes:
    """Read a file once; a WeightsError unless its SHA-256 is the manifest's."""
    path = directory / name
    if not path.is_file():
        raise WeightsError(f"The backbone's file {path} is missing.", EXPORT_AGAIN)
    content = path.read_bytes()
    received = hashlib.sha256(content).hexdigest()
    if received != manifest.files.get(name):
        raise WeightsError(
            f"The backbone's file {path} was changed or truncated: SHA-256 is {received}, "
            f"the manifest says {manifest.files.get(name)}.",
            EXPORT_AGAIN,
        )
    return content


def write_weights(path: Path, weights: Sequence[NDArray[np.float32]]) -> None:
    """Write arrays in the network's order."""
    # safetensors writes the memory as it is, so it must be in C order.
    arrays = (np.asarray(array, order="C") for array in weights)
    save_file({f"{place:04d}": array for place, array in enumerate(arrays)}, path)


def read_weights(content: bytes) -> list[NDArray[np.float32]]:
    """Read arrays in the network's order; a WeightsError unless all are finite float32."""
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"The weights cannot be read: {error}. Export them again.") from error
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise WeightsError(f"The weights' array {name} is not float32, or not finite.")
    return [arrays[name] for name in sorted(arrays)]


def read_checked_weights(directory: Path, manifest: BackboneManifest) -> list[NDArray[np.float32]]:
    """Read the artefact's arrays; a WeightsError unless their hash is its `backbone_id`."""
    weights = read_weights(read_file(directory, manifest, WEIGHTS_FILE))
    received = compute_backbone_id(manifest, hash_weights(weights))
    if received != manifest.backbone_id:
        raise WeightsError(
            f"The weights in {directory} hash to {received}, the manifest says "
            f"{manifest.backbone_id}.",
            EXPORT_AGAIN,
        )
    return weights


def check_replaceable(store: Store, instead: str) -> None:
    """Refuse to write an artefact over files that are of none.

    Raises:
        ForeignFileError: names the first such file; `instead` is as there.
    """
    files = store.list_all_files("")
    ours = {MANIFEST_FILE, ONNX_FILE, WEIGHTS_FILE}
    try:
        if files:
            BackboneManifest.model_validate_json(store.read_bytes(MANIFEST_FILE))
    except (ValidationError, StorageError):
        ours = set()
    for file in files:
        if file.path not in ours:
            raise ForeignFileError(store.child(file.path), instead)


@contextmanager
def new_artefact(out: Path) -> Iterator[Path]:
    """Give an empty directory to write an artefact to; then it takes the place of `out`.

    Raises:
        ForeignFileError: there is something else than an artefact at `out`.
    """
    out = out.resolve()
    _check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        unfinished = Path(name) / "backbone"
        unfinished.mkdir()
        yield unfinished
        _check_out(out)  # writing took a minute
        if out.exists():
            shutil.rmtree(out)
        unfinished.rename(out)


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ForeignFileError(out, "give another --out")
    check_replaceable(Store(str(out)), "give another --out")
