"""The forms of external features: which files, with which labels, and what they are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trailergenre.base.errors import ConfigError
from trailergenre.base.storage import hash_file
from trailergenre.links.external.arrays import ArrayFiles, Kind

_ZARR_ENDINGS = ("", ".zarr", ".zip", ".zarr.zip")


@dataclass(frozen=True, slots=True)
class ExternalSet:
    """A data set of features.

    Attributes:
        name: of the set, by which its rows are called.
        network: what made its features; runs and bundles of other networks are refused.
        arrays: an array for each id.
        labels: the table of labels and splits.
        id_column: of that table.
    """

    name: str
    network: str
    arrays: ArrayFiles
    labels: Path
    id_column: str


def open_trailers12k(path: Path) -> ExternalSet:
    """Trailers12k (Zenodo 5716409): mtgc.csv, and a zarr group for each network beside it.

    Args:
        path: the directory, if it holds the group of one network; else that group.
    """
    is_group = path.is_file() or _is_group(path)
    directory = path.parent if is_group else path
    groups = [path] if is_group else _find_groups(directory)
    if len(groups) != 1:
        names = ", ".join(group.name for group in groups) or "none"
        raise ConfigError(
            f"{directory} must hold one network's trailers_*.zarr; else name one of them: "
            f"--external trailers12k {directory}/NAME.zarr. Received: {names}."
        )
    network = groups[0].name.removesuffix(".zip").removesuffix(".zarr")
    labels = _find_file(directory, "mtgc.csv", "trailers12k_mtgc.csv")
    arrays = ArrayFiles("zarr", (groups[0],))
    return ExternalSet("trailers12k", f"trailers12k/{network}", arrays, labels, "mid")


def open_trailers15k(path: Path) -> ExternalSet:
    """Trailers15k: train.zip, valid.zip, test.zip (a zarr group each) and trailers15k-mltc.csv.

    Its features are Inception-V3's, of one frame a second.
    """
    parts = [
        _find_file(path, *(f"{part}{ending}" for ending in (".zip", ".zarr", "")))
        for part in ("train", "valid", "test")
    ]
    labels = _find_file(path, "trailers15k-mltc.csv")
    arrays = ArrayFiles("zarr", tuple(parts))
    return ExternalSet("trailers15k", "trailers15k/inception_v3", arrays, labels, "mid")


def open_table(path: Path) -> ExternalSet:
    """A directory with one Parquet or npz file of features by id, and one CSV of labels by id."""
    files = [*sorted(path.glob("*.parquet")), *sorted(path.glob("*.npz"))]
    labels = sorted(path.glob("*.csv"))
    if len(files) != 1 or len(labels) != 1:
        received = ", ".join(file.name for file in [*files, *labels]) or "none"
        raise ConfigError(
            f"{path} must hold one .parquet or .npz file with the features, and one .csv file with "
            f"the labels. Received: {received}."
        )
    kind: Kind = "parquet" if files[0].suffix == ".parquet" else "npz"
    # The network that made them is unknown, so no other file is taken to be of it.
    network = f"{path.name}/{hash_file(files[0])}"
    return ExternalSet(path.name, network, ArrayFiles(kind, (files[0],)), labels[0], "id")


FORMS: dict[str, Callable[[Path], ExternalSet]] = {
    "trailers12k": open_trailers12k,
    "trailers15k": open_trailers15k,
    "table": open_table,
}


def open_external(form: str, path: Path) -> ExternalSet:
    """Open external features of a form.

    Raises:
        ConfigError: there is no such form, or files are missing.
    """
    path = path.expanduser().absolute()
    if form not in FORMS:
        raise ConfigError(f"--external has the forms {', '.join(FORMS)}. Received: {form!r}.")
    if not path.exists():
        raise ConfigError(f"There is no file or directory {path}.")
    return FORMS[form](path)


def _is_group(path: Path) -> bool:
    return any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def _find_groups(directory: Path) -> list[Path]:
    found = directory.glob("trailers_*")
    return sorted(path for path in found if path.name.endswith(_ZARR_ENDINGS[1:]))


def _find_file(directory: Path, *names: str) -> Path:
    for name in names:
        if (directory / name).exists():
            return directory / name
    there: Sequence[str] = sorted(file.name for file in directory.iterdir())[:10]
    raise ConfigError(
        f"{directory} has no {' or '.join(names)}. Received: {', '.join(there) or 'nothing'}."
    )
