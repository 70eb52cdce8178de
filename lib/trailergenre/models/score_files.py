"""Scores as a table for people: one row for each row of a list, with the list's own columns.

row, url, title      number of the row in the list, from 1; its canonical link; its title
...                  the list's other columns, unchanged (`list_NAME` where NAME is one of ours)
outcome, detail      ok, or what went wrong and why
frames               frames that were scored
predicted            the genres that reach their thresholds, the most probable first: `A|B`
model                the bundle: the first 12 digits of the SHA-256 of its manifest
GENRE, GENRE_threshold, GENRE_predicted     for every genre of the bundle: probability, 0..1;
the threshold; yes or no
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import GenreScore, Link
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle
from trailergenre.models.score_link import LinkScore

FORMATS = (".csv", ".parquet", ".jsonl")

_HEAD = ("row", "url", "title")
_TAIL = ("outcome", "detail", "frames", "predicted", "model")
_DIGITS = 6
_SAVE_EVERY_S = 10.0
_MODEL_DIGITS = 12

Record = dict[str, object]
"""Column -> value."""


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row of the user's list, with its other columns as text."""

    number: int
    url: str
    title: str = ""
    other: Mapping[str, str] = field(default_factory=dict)


class ScoreTable:
    """The table while it is made; saved every few seconds, so that a stopped command resumes."""

    def __init__(self, rows: Sequence[ListedRow], bundle: Bundle, out: Path | None) -> None:
        """Begin a table, with what an existing file `out` has; errors as for `read_finished`."""
        self._rows, self._bundle, self._out = rows, bundle, out
        self._finished: dict[tuple[int, str], Record] = {}
        if out is not None and out.exists():
            self._finished = read_finished(out, sha256=bundle.sha256)
        self._records: dict[int, Record] = {}
        self._saved = time.monotonic()

    def take_finished(self, place: int, link: Link) -> bool:
        """Take the score of a row from the existing file; false if it has none."""
        record = self._finished.get((self._rows[place].number, link.url))
        if record is not None:
            self._records[place] = record
        return record is not None

    def check_taken(self) -> None:
        """Raise ConfigError if the existing file has scores of other rows: they would be lost."""
        n_others = len(self._finished) - len(self._records)
        if n_others:
            raise ConfigError(
                f"{self._out} has {n_others} scores of rows that are not in this list. {_MOVE}"
            )

    def add(self, place: int, score: LinkScore) -> None:
        """Add the score of the row at `place`."""
        manifest = self._bundle.manifest
        self._records[place] = make_record(
            self._rows[place], score, genres=manifest.genres, sha256=self._bundle.sha256
        )
        if time.monotonic() > self._saved + _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the file, if one is wanted; rows that are not done are left out."""
        if self._out is not None and self._records:
            write_records(self._out, lambda: [self.records])
            self._saved = time.monotonic()

    @property
    def records(self) -> list[Record]:
        """The rows that are done, in the list's order."""
        return [record for _, record in sorted(self._records.items())]


def make_record(row: ListedRow, score: LinkScore, *, genres: Sequence[str], sha256: str) -> Record:
    """One row of the table, for a bundle with these `genres` and this checksum."""
    names = genre_columns(genres)
    ours = {*_HEAD, *_TAIL, *(name for three in names.values() for name in three)}
    record: Record = {"row": row.number, "url": score.url, "title": row.title}
    record |= {f"list_{name}" if name in ours else name: cell for name, cell in row.other.items()}
    predicted = [each.genre for each in score.genres if each.is_predicted]
    record |= {
        "outcome": str(score.outcome),
        "detail": score.detail,
        "frames": score.frames,
        "predicted": "|".join(predicted),
        "model": sha256[:_MODEL_DIGITS],
    }
    by_genre = {each.genre: each for each in score.genres}
    for genre, columns in names.items():
        record |= zip(columns, _values(by_genre.get(genre)), strict=True)
    return record


def genre_columns(genres: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """The columns of each genre."""
    return {genre: (genre, f"{genre}_threshold", f"{genre}_predicted") for genre in genres}


def _values(score: GenreScore | None) -> tuple[float | None, float | None, str | None]:
    if score is None:
        return None, None, None
    probability, threshold = round(score.probability, _DIGITS), round(score.threshold, _DIGITS)
    return probability, threshold, "yes" if score.is_predicted else "no"


def write_records(path: Path, pieces: Callable[[], Iterable[Sequence[Record]]]) -> int:
    """Write the table in the format of the file's name; a reader sees the old file or the new.

    `pieces` gives the records, and is called twice: the columns are those of all records.

    Returns:
        The number of records.
    """
    n_records, columns, schema = 0, dict[str, None](), pa.schema([])
    for piece in pieces():
        n_records += len(piece)
        columns |= dict.fromkeys(name for record in piece for name in record)
        if path.suffix == ".parquet":
            found = pa.Table.from_pylist(_complete(piece, columns)).schema
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
    complete = (_complete(piece, columns) for piece in pieces())
    target = path.resolve()  # a symbolic link stays
    with Store(str(target.parent)).open_output(target.name) as stream:
        if path.suffix == ".parquet":
            with pq.ParquetWriter(stream, schema) as parquet:
                for rows in complete:
                    parquet.write_table(pa.Table.from_pylist(rows, schema))
        elif path.suffix == ".jsonl":
            for rows in complete:
                stream.writelines(
                    json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows
                )
        else:
            text = io.TextIOWrapper(stream, "utf-8", newline="")
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            for rows in complete:
                writer.writerows(rows)
            text.detach()
    return n_records


def _complete(records: Iterable[Record], columns: Iterable[str]) -> list[Record]:
    return [{name: record.get(name) for name in columns} for record in records]


def read_finished(path: Path, *, sha256: str) -> dict[tuple[int, str], Record]:
    """The rows of an existing table that have a score, by number and link.

    Raises:
        ConfigError: the file is not such a table, or another model wrote it.
    """
    try:
        records = list(_read_records(path))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ConfigError(f"{path} exists and cannot be completed: {error}. {_MOVE}") from error
    if not records or any(not {*_HEAD, *_TAIL} <= set(record) for record in records):
        raise ConfigError(f"{path} exists and is not a table of scores. {_MOVE}")
    models = {str(record["model"]) for record in records}
    if models != {sha256[:_MODEL_DIGITS]}:
        raise ConfigError(
            f"{path} exists and has scores of another model: {', '.join(sorted(models))}. {_MOVE}"
        )
    finished = [record for record in records if record["outcome"] == Outcome.OK]
    return {(int(str(record["row"])), str(record["url"])): record for record in finished}


_MOVE = "Give another --out, or move the file."


def _read_records(path: Path) -> Iterator[Record]:
    if path.suffix == ".parquet":
        yield from pq.read_table(path).to_pylist()
        return
    with path.open(encoding="utf-8", newline="") as stream:
        if path.suffix == ".jsonl":
            for line in stream:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("a line is not a JSON object")
                yield record
        else:
            yield from csv.DictReader(stream)


def check_out(path: Path) -> None:
    """Refuse a file name that names no format, and a directory that does not exist."""
    if path.suffix not in FORMATS:
        raise ConfigError(f"--out must end in {', '.join(FORMATS)}. Received: {path.name!r}.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"The directory {path.absolute().parent} of --out does not exist.")
