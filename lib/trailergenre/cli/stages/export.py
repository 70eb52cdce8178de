"""Results of a run as files that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trailergenre.base.config import RowsConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import GenreScore
from trailergenre.base.storage import Store
from trailergenre.models.pooled_table import iter_pooled
from trailergenre.models.pooling import iter_links
from trailergenre.models.score_files import ListedRow, Record, check_out, make_record, write_records
from trailergenre.models.score_link import LinkScore
from trailergenre.runs import features_table, outcomes_table, tables


def export(store: Store, fingerprint: str, what: str, out: Path) -> int:
    """Write `scores`, `features`, `outcomes` or `links` of a run to a file; gives the rows."""
    if what == "features":
        return _export_features(store, fingerprint, out)
    check_out(out)
    return write_records(out, _RECORDS[what](store, fingerprint))


_Row = dict[str, Any]
"""Of a table of the run."""

_Pieces = Callable[[], Iterator[list[Record]]]
"""Gives some thousand records at a time, of tables that are read once."""


def _links(store: Store, fingerprint: str) -> _Pieces:
    links = tables.read_table(store, "links")

    def pieces() -> Iterator[list[Record]]:
        for piece in tables.iter_pieces(links):
            yield [_link(row) for row in piece.to_pylist()]

    return pieces


def _link(row: _Row) -> Record:
    other = json.loads(str(row.pop("other")))
    row["genres"] = "|".join(row["genres"])
    return row | {name if name not in row else f"list_{name}": v for name, v in other.items()}


def _outcomes(store: Store, fingerprint: str) -> _Pieces:
    listed = _ready(store)
    outcomes = outcomes_table.read_outcomes(store, fingerprint)

    def pieces() -> Iterator[list[Record]]:
        for piece in tables.iter_pieces(outcomes):
            sources = _by_link(listed, piece["link_id"])
            yield [_outcome(row, sources.get(row["link_id"], {})) for row in piece.to_pylist()]

    return pieces


def _outcome(row: _Row, source: _Row) -> Record:
    """A row of outcomes; `source` is that of links, empty for a link that left the list."""
    names = {name: source.get(name) for name in ("row", "url", "title")}
    row["connections"] = " ".join(row["connections"])
    row["finished_at"] = row["finished_at"].isoformat()
    return {**names, **row}


def _ready(store: Store) -> pa.Table:
    columns = ["link_id", "row", "url", "title"]
    links = tables.read_table(store, "links", [*columns, "row_outcome"])
    return links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value)).select(columns)


def _by_link(rows: pa.Table, link_ids: tables.LinkIds) -> dict[str, _Row]:
    return {row["link_id"]: row for row in tables.filter_links(rows, link_ids).to_pylist()}


def _scores(store: Store, fingerprint: str) -> _Pieces:
    """As `score --out`: a row for each row of the list, with the reason where it has no score."""
    scores = tables.read_table(store, "scores", ["link_id", "rank", *GenreScore.__slots__])
    genres = sorted(pc.unique(scores["genre"]).to_pylist())
    columns = ("link_id", "outcome", "detail", "frames")
    outcomes = outcomes_table.read_outcomes(store, fingerprint, columns)
    links = tables.read_table(store, "links")

    def pieces() -> Iterator[list[Record]]:
        for piece in tables.iter_pieces(links):
            found = _by_link(outcomes, piece["link_id"])
            ranked: dict[str, list[GenreScore]] = {}
            for row in tables.filter_links(scores, piece["link_id"]).sort_by("rank").to_pylist():
                score = GenreScore(*(row[name] for name in GenreScore.__slots__))
                ranked.setdefault(row["link_id"], []).append(score)
            yield [
                _score(row, found.get(row["link_id"]), ranked.get(row["link_id"], []), genres)
                for row in piece.to_pylist()
            ]

    return pieces


def _score(
    row: _Row, found: _Row | None, ranked: list[GenreScore], genres: Sequence[str]
) -> Record:
    """The scores of a row of links, by its row of outcomes."""
    outcome = Outcome(found["outcome"]) if found else Outcome.DEFERRED
    detail = found["detail"] if found else ""
    if outcome is Outcome.OK and not ranked:
        outcome, detail = Outcome.DEFERRED, "no score yet: run `trailergenre predict` again"
    score = LinkScore(
        url=row["url"] or "",
        link_id=row["link_id"] or "",
        outcome=outcome,
        detail=detail,
        genres=ranked,
        frames=found["frames"] if found else 0,
        seconds={},
        notes=[],
    )
    listed = ListedRow(row["row"], score.url, row["title"], json.loads(row["other"]))
    record = make_record(listed, score, genres=genres, sha256="")
    del record["model"]
    if not ranked and row["row_outcome"] not in (RowOutcome.READY, RowOutcome.DUPLICATE):
        record |= {"outcome": row["row_outcome"], "detail": row["detail"]}
    return record


_RECORDS: dict[str, Callable[[Store, str], _Pieces]] = {
    "links": _links,
    "outcomes": _outcomes,
    "scores": _scores,
}


def _export_features(store: Store, fingerprint: str, out: Path) -> int:
    outcomes = outcomes_table.read_outcomes(store, fingerprint)
    n_links = pc.sum(pc.equal(outcomes["outcome"], Outcome.OK.value)).as_py() or 0
    writers: dict[str, Callable[[Store, pa.Table, Path, int], int]] = {
        ".parquet": _frames_to_parquet,
        ".npz": _pooled_to_npz,
        "": _frames_to_directory,
    }
    writer = writers.get(out.suffix)
    if writer is None:
        raise ConfigError(
            f"--out must end in .parquet or .npz, or name a directory. Received: {out.name!r}."
        )
    return writer(store, outcomes, out, n_links)


def _frames_to_parquet(store: Store, outcomes: pa.Table, out: Path, n_links: int) -> int:
    n_rows, writer = 0, None
    with progress_bar("exporting", unit="links") as on_step:
        n_done = 0
        for table in features_table.iter_features(store, outcomes):
            writer = writer or pq.ParquetWriter(out, table.schema)
            writer.write_table(table)
            n_rows += len(table)
            n_done += pc.count_distinct(table["link_id"]).as_py()
            on_step(n_done, n_links)
    if writer is None:
        raise ConfigError(f"No link of {store} has features.")
    writer.close()
    return n_rows


def _pooled_to_npz(store: Store, outcomes: pa.Table, out: Path, n_links: int) -> int:
    link_ids: list[str] = []
    rows: list[NDArray[np.float32]] = []
    with progress_bar("exporting", unit="links") as on_step:
        for file in iter_pooled(store, outcomes, RowsConfig()):
            link_ids += file.link_ids
            rows.append(file.rows)
            on_step(len(link_ids), n_links)
    listed = _ready(store)
    places = pc.index_in(pa.array(link_ids, pa.string()), listed["link_id"].combine_chunks())
    np.savez(
        out,
        link_id=np.array(link_ids),
        url=np.array(pc.fill_null(listed["url"].take(places), "").to_pylist(), str),
        features=np.concatenate(rows) if rows else np.zeros((0, 0), np.float32),
    )
    return len(link_ids)


def _frames_to_directory(store: Store, outcomes: pa.Table, out: Path, n_links: int) -> int:
    out.mkdir(parents=True)
    ready, n_done = _ready(store), 0
    with (
        progress_bar("exporting", unit="links") as on_step,
        (out / "index.csv").open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "row", "url", "title", "frames"])
        for links in iter_links(store, outcomes):
            listed = _by_link(ready, [link.link_id for link in links])
            for link in links:
                row = listed.get(link.link_id, {})
                name = f"{link.link_id}.npy"
                np.save(out / name, link.features)
                facts = [row.get("row"), row.get("url"), row.get("title")]
                writer.writerow([name, *facts, len(link.features)])
                n_done += 1
            on_step(n_done, n_links)
    return n_done
