"""Multi-label data in Mulan's format: ARFF files, and an XML file that names the label columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.parsers import expat

import arff
import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.links.external.features import (
    MAX_VALUES,
    SCHEME,
    ExternalFeatures,
    read_bytes,
    read_text,
)
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.labelled_links import Part

# Stricter than ARFF: liac-arff's pattern for nominal types takes exponential time on other input.
_NAME = r"'(?:\\.|[^'\\])*+'|\"(?:\\.|[^\"\\])*+\"|[^\s'\"{},%]++"
_WORD = r"(?:'[^\s'\"\\{},%]++'|\"[^\s'\"\\{},%]++\"|[^\s'\"\\{},%]++)"
_ATTRIBUTE = re.compile(
    rf"@attribute\s+({_NAME})\s*(numeric|real|integer|\{{\s*+{_WORD}(?:\s*+,\s*+{_WORD})*+\s*+\}})",
    re.IGNORECASE,
)


def read_mulan(directory: Path) -> ExternalFeatures:
    """Read a directory with NAME.xml, and NAME-train.arff with NAME-test.arff, or NAME.arff.

    Raises:
        ConfigError: names the file and what is wrong with it.
    """
    label_file, arff_files = _find_files(directory)
    labels = _read_label_names(label_file)
    rows: list[InputRow] = []
    parts: list[Part | None] = []
    blocks = []
    first_names: list[str] = []
    for path, part in arff_files:
        names, matrix = read_arff(path)
        first_names = first_names or names
        if names != first_names:
            raise ConfigError(f"{path} has other attributes than {arff_files[0][0].name}.")
        truth, features = _split_columns(names, matrix, labels, path)
        prefix = f"{label_file.stem}/{part}" if part else label_file.stem
        for number, has_label in enumerate(truth, start=1):
            genres = sorted(label for label, has in zip(labels, has_label, strict=True) if has)
            url = f"{SCHEME}{prefix}/{number}"
            rows.append(InputRow(len(rows) + 1, url, "", "", tuple(genres)))
        parts += [part] * len(truth)
        blocks.append(features)
    source = InputList(directory.name, directory, ("url", "genres"), rows, has_genres=True)
    files = [label_file, *(path for path, _ in arff_files)]
    return ExternalFeatures.from_values(source, np.concatenate(blocks), parts, files)


def _find_files(directory: Path) -> tuple[Path, list[tuple[Path, Part | None]]]:
    label_files = sorted(directory.glob("*.xml"))
    if len(label_files) != 1:
        raise ConfigError(
            f"{directory} must hold one XML file that names the labels. Received: "
            f"{', '.join(path.name for path in label_files) or 'none'}."
        )
    (label_file,) = label_files
    endings = ("-train.arff", "-test.arff", ".arff")
    train, test, whole = (directory / f"{label_file.stem}{ending}" for ending in endings)
    if train.is_file() and test.is_file():
        return label_file, [(train, Part.TRAIN), (test, Part.TEST)]
    if whole.is_file():
        return label_file, [(whole, None)]
    received = ", ".join(sorted(path.name for path in directory.glob("*.arff"))) or "none"
    raise ConfigError(
        f"{directory} must hold {train.name} with {test.name}, or {whole.name}, to match "
        f"{label_file.name}. Received ARFF files: {received}."
    )


def _read_label_names(path: Path) -> list[str]:
    names: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == "label" and attributes.get("name"):
            names.append(attributes["name"])

    def refuse(*_: object) -> None:
        raise ConfigError(f"{path} declares a document type, which label files do not need.")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    # A document type can declare entities that expand to gigabytes.
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_bytes(path), True)
    except expat.ExpatError as error:
        raise ConfigError(f"{path} is not XML: {error}.") from error
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{path} names no label, or one twice. Received: {names[:5]}.")
    return names


def _split_columns(
    names: Sequence[str], matrix: NDArray[np.float64], labels: Sequence[str], path: Path
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The label columns, in the order of `labels`, and the feature columns."""
    if missing := [label for label in labels if label not in names]:
        raise ConfigError(f"{path} lacks the attributes of the labels {missing[:5]}.")
    if len(labels) == len(names):
        raise ConfigError(f"{path} has no attribute besides the labels.")
    columns = [names.index(label) for label in labels]
    truth = matrix[:, columns]
    if not np.isin(truth, (0, 1)).all():
        raise ConfigError(f"{path}: labels must be 0 or 1 in every row.")
    return truth == 1, np.delete(matrix, columns, axis=1)


def read_arff(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Read a dense or sparse ARFF file of numeric and nominal attributes.

    Returns:
        Attribute names, and a matrix of shape (n_rows, n_attributes), float64. Missing cells are
        NaN. A nominal value is itself if all values of its attribute are numbers, else its index.

    Raises:
        ConfigError: names the line that is not valid, or the limit that the file exceeds.
    """
    lines = _Lines(path)
    rows: list[NDArray[np.float64]] = []
    try:
        content = arff.load(lines, return_type=arff.DENSE_GEN)
        attributes = content["attributes"]
        converters = [_converter(kind) for _, kind in attributes]
        for row in content["data"]:
            # A sparse row of two bytes becomes one cell per attribute.
            if (len(rows) + 1) * len(attributes) > MAX_VALUES:
                raise ConfigError(
                    f"{path} has more than {MAX_VALUES} values in rows of {len(attributes)}."
                )
            cells = zip(converters, row, strict=True)
            rows.append(np.array([np.nan if cell is None else to(cell) for to, cell in cells]))
    except (arff.ArffException, csv.Error, LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} is not a valid ARFF file: {type(error).__name__} in line {lines.number}, "
            f"{lines.text[:40]!r}."
        ) from error
    if not rows:
        raise ConfigError(f"{path} has no rows.")
    return [re.sub(r"\\(.)", r"\1", name) for name, _ in attributes], np.stack(rows)


class _Lines:
    """Lines of a file for liac-arff; refuses headers that it cannot read in bounded time."""

    def __init__(self, path: Path) -> None:
        self._lines = read_text(path).split("\n")
        self.number, self.text = 0, ""  # of the line that was read last

    def __iter__(self) -> Iterator[str]:
        is_header = True
        for number, text in enumerate(self._lines, start=1):
            self.number, self.text = number, text
            line = text.strip()
            if is_header and line.lower().startswith("@relation"):
                line = "@relation any"
            elif is_header and line.lower().startswith("@attribute"):
                if not (match := _ATTRIBUTE.fullmatch(line)):
                    raise arff.BadAttributeFormat
                # liac-arff truncates values that are declared as integers.
                kind = "numeric" if match[2].lower() == "integer" else match[2]
                line = f"@attribute {match[1]} {kind}"
            elif line.lower().startswith("@data"):
                is_header = False
            yield line


def _converter(kind: str | list[str]) -> Callable[[str | float], float]:
    if isinstance(kind, str):
        return float
    try:
        values = {word: float(word) for word in kind}
    except ValueError:
        values = {word: float(index) for index, word in enumerate(kind)}
    return values.__getitem__  # type: ignore[return-value]
