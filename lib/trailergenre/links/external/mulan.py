"""Multi-label data in Mulan's form: ARFF files, and an XML that names the labels among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.links.external.arff import Arff, parse_arff
from trailergenre.links.external.data import (
    SCHEME,
    ExternalFeatures,
    publish,
    read_bytes,
    read_text,
)
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.labelled_links import Part


def read_mulan(directory: Path) -> ExternalFeatures:
    """Read a directory with NAME.xml, and NAME-train.arff with NAME-test.arff, or NAME.arff.

    Raises:
        ConfigError: names the file and what is wrong with it.
    """
    label_file, arff_files = _find_mulan(directory)
    labels = _read_label_names(label_file)
    rows: list[InputRow] = []
    parts: list[Part | None] = []
    blocks = []
    names: tuple[str, ...] = ()
    for path, part in arff_files:
        arff = parse_arff(read_text(path), name=str(path))
        found = tuple(attribute.name for attribute in arff.attributes)
        if names and found != names:
            raise ConfigError(f"{path} has other attributes than {arff_files[0][0].name}.")
        names = found
        truth, features = _split_columns(arff, labels, path)
        below = f"{label_file.stem}/{part}" if part else label_file.stem
        for number, has in enumerate(truth, start=1):
            url = f"{SCHEME}{below}/{number}"
            genres = tuple(
                sorted(label for label, marked in zip(labels, has, strict=True) if marked)
            )
            rows.append(InputRow(len(rows) + 1, url, "", "", genres))
        parts += [part] * len(truth)
        blocks.append(features)
    columns = ("url", "genres")
    source = InputList(directory.name, directory, columns, rows)
    files = [label_file, *(path for path, _ in arff_files)]
    return publish(source, np.concatenate(blocks), parts, files)


def _find_mulan(directory: Path) -> tuple[Path, list[tuple[Path, Part | None]]]:
    """The label file and the data files of a directory's one dataset."""
    label_files = sorted(directory.glob("*.xml"))
    if len(label_files) != 1:
        raise ConfigError(
            f"{directory} must hold one XML file that names the labels. Received: "
            f"{', '.join(path.name for path in label_files) or 'none'}."
        )
    (label_file,) = label_files
    train, test, whole = (
        directory / f"{label_file.stem}{ending}.arff" for ending in ("-train", "-test", "")
    )
    if train.is_file() and test.is_file():
        return label_file, [(train, Part.TRAIN), (test, Part.TEST)]
    if whole.is_file():
        return label_file, [(whole, None)]
    received = ", ".join(sorted(path.name for path in directory.glob("*.arff"))) or "none"
    raise ConfigError(
        f"{directory} must hold {train.name} with {test.name}, or {whole.name}, like its "
        f"{label_file.name}. Received ARFF files: {received}."
    )


def _read_label_names(path: Path) -> list[str]:
    """Names of the elements `label`; nothing outside of the file is ever read.

    Raises:
        ConfigError: it is not XML, declares a document type or entities, or names no label.
    """
    names: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == "label" and attributes.get("name"):
            names.append(attributes["name"])

    def refuse(*_: object) -> None:
        raise ConfigError(f"{path} declares a document type; label files need none.")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    # Where entities would be declared: a few lines of them can expand to gigabytes.
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_bytes(path), True)
    except expat.ExpatError as error:
        raise ConfigError(f"{path} is not XML: {error}.") from error
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{path} names no label, or one twice. Received: {names[:5]}.")
    return names


def _split_columns(
    arff: Arff, labels: Sequence[str], path: Path
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The label columns, in the order of `labels`, and all others."""
    place = {attribute.name: column for column, attribute in enumerate(arff.attributes)}
    missing = [label for label in labels if label not in place]
    if missing or len(labels) == len(place):
        raise ConfigError(
            f"{path} lacks the attributes {missing[:5]} that are labels."
            if missing
            else f"{path} has no attribute besides the labels."
        )
    chosen = [place[label] for label in labels]
    truth = arff.matrix[:, chosen]
    if not np.isin(truth, (0, 1)).all():
        raise ConfigError(f"{path}: labels are to be 0 or 1 in every row.")
    features = np.delete(arff.matrix, chosen, axis=1)
    return truth == 1, features
