"""The text of an ARFF file -> its attributes and one matrix; dense and sparse rows.

scipy's reader refuses sparse rows and attribute names with commas, which multi-label data have.
Knows nothing of features or labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.links.external.data import MAX_VALUES

_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
# Possessive (*+): what was passed over is not tried again, or a run of spaces would take hours.
_CELL = re.compile(rf"(?:\s*+({_QUOTED})\s*+|([^,'\"]*+))(?:,|$)")
_ATTRIBUTE = re.compile(rf"@attribute\s+({_QUOTED}|[^\s'\"{{]+)\s*(.*)", re.IGNORECASE)
_SPARSE = re.compile(rf"(\d+)\s+({_QUOTED}|\S+)")
_NUMERIC = {"numeric", "real", "integer"}
_MISSING = "?"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column.

    Attributes:
        name: without quotes.
        values: of a nominal column, what each word stands for: itself where all are numbers, else
            its place in the declaration. None: the column is numeric.
    """

    name: str
    values: dict[str, float] | None = None

    @property
    def default(self) -> float:
        """What a sparse row means by leaving the column out: 0, or the first word declared."""
        return next(iter(self.values.values())) if self.values else 0.0

    def parse(self, cell: str) -> float:
        """A cell as a number; missing is not a number.

        Raises:
            ValueError: it is none, or no word of the column.
        """
        if cell == _MISSING:
            return np.nan
        if self.values is None:
            return float(cell)
        if cell not in self.values:
            raise ValueError(f"{cell!r} is not among the words of {self.name!r}")
        return self.values[cell]


@dataclass(frozen=True, slots=True)
class Arff:
    """A whole file.

    Attributes:
        attributes: in order.
        matrix: shape (n_rows, n_attributes), float64; missing cells are not a number.
    """

    attributes: tuple[Attribute, ...]
    matrix: NDArray[np.float64]


def parse_arff(text: str, *, name: str) -> Arff:
    """Read a file.

    Args:
        text: of the file.
        name: of the file, for messages.

    Raises:
        ConfigError: names the line and what is wrong there.
    """
    attributes: list[Attribute] = []
    rows: list[NDArray[np.float64]] = []
    in_data = False
    for number, line in _lines(text):
        try:
            if in_data:
                # A sparse row of two bytes becomes one of all attributes.
                if (len(rows) + 1) * len(attributes) > MAX_VALUES:
                    raise ValueError(
                        f"more than {MAX_VALUES} values, in rows of {len(attributes)}, are not read"
                    )
                rows.append(_parse_row(line, attributes))
            elif line.lower() == "@data":
                in_data = True
            elif line.lower().startswith("@attribute"):
                attributes.append(_parse_attribute(line))
            elif not line.lower().startswith("@relation"):
                raise ValueError(f"{line[:40]!r} is no part of a header")
        except ValueError as error:
            raise ConfigError(f"{name}, line {number}: {error}.") from error
    if not (attributes and rows):
        raise ConfigError(f"{name} holds {len(attributes)} attributes and {len(rows)} rows.")
    return Arff(tuple(attributes), np.stack(rows))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("%"):
            yield number, stripped


def _parse_attribute(line: str) -> Attribute:
    match = _ATTRIBUTE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line[:40]!r} names no attribute")
    name, kind = _unquote(match[1]), match[2].strip()
    if kind.lower() in _NUMERIC:
        return Attribute(name)
    if not (kind.startswith("{") and kind.endswith("}")):
        raise ValueError(f"{name!r} is {kind[:40]!r}, neither numeric nor nominal")
    words = list(_cells(kind[1:-1]))
    try:
        return Attribute(name, {word: float(word) for word in words})
    except ValueError:
        return Attribute(name, {word: float(place) for place, word in enumerate(words)})


def _parse_row(line: str, attributes: list[Attribute]) -> NDArray[np.float64]:
    if line.startswith("{") and line.endswith("}"):
        return _parse_sparse(line[1:-1], attributes)
    cells = list(_cells(line))
    if len(cells) != len(attributes):
        raise ValueError(f"{len(cells)} cells for {len(attributes)} attributes")
    pairs = zip(attributes, cells, strict=True)
    return np.array([attribute.parse(cell) for attribute, cell in pairs])


def _parse_sparse(line: str, attributes: list[Attribute]) -> NDArray[np.float64]:
    row = np.array([attribute.default for attribute in attributes])
    seen: set[int] = set()
    for pair in _split_pairs(line):
        place, cell = int(pair[0]), _unquote(pair[1])
        if place >= len(attributes) or place in seen:
            raise ValueError(f"cell {place} stands twice or is beyond {len(attributes)} attributes")
        seen.add(place)
        row[place] = attributes[place].parse(cell)
    return row


def _split_pairs(line: str) -> Iterable[tuple[str, str]]:
    for cell in filter(None, (part.strip() for part in line.split(","))):
        match = _SPARSE.fullmatch(cell)
        if match is None:
            raise ValueError(f"{cell[:40]!r} is not a place and a value")
        yield match[1], match[2]


def _cells(line: str) -> Iterator[str]:
    """Cut at commas that stand outside of quotes."""
    if "'" not in line and '"' not in line:
        yield from (cell.strip() for cell in line.split(","))
        return
    position = 0
    while position < len(line):
        match = _CELL.match(line, position)
        if match is None:
            raise ValueError(f"the quotes are wrong at {line[position : position + 40]!r}")
        yield _unquote(match[1]) if match[1] else match[2].strip()
        position = match.end()


def _unquote(text: str) -> str:
    if text[:1] in {"'", '"'}:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
