"""Results of a run as files that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

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
    records = list(_RECORDS[what](store, fingerprint))
    write_records(out, records)
    return len(records)


def _links(store: Store, fingerprint: str) -> Iterator[Record]:
    for row in tables.read_table(store, "links").to_pylist():
        other = json.loads(row.pop("other"))
        row["genres"] = "|".join(row["genres"])
        yield row | {name if name not in row else f"list_{name}": v for name, v in other.items()}


def _outcomes(store: Store, fingerprint: str) -> Iterator[Record]:
    listed = _ready(store)
    for row in outcomes_table.read_outcomes(store, fingerprint).to_pylist():
        source = listed.get(row["link_id"], {})  # a link that left the list has none
        names = {name: source.get(name) for name in ("row", "url", "title")}
        row["connections"] = " ".join(row["connections"])
        row["finished_at"] = row["finished_at"].isoformat()
        yield {**names, **row}


def _ready(store: Store) -> dict[str, Record]:
    links = tables.read_table(store, "links")
    ready = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    return {row["link_id"]: row for row in ready.to_pylist()}


def _scores(store: Store, fingerprint: str) -> Iterator[Record]:
    """As `score --out`: a row for each row of the list, with the reason where it has no score."""
    scores: dict[str, list[GenreScore]] = {}
    genres: dict[str, None] = {}
    for row in tables.read_table(store, "scores").sort_by([("rank", "ascending")]).to_pylist():
        values = (row[name] for name in ("genre", "probability", "threshold", "is_predicted"))
        scores.setdefault(row["link_id"], []).append(GenreScore(*values))
        genres[row["genre"]] = None
    outcomes = {
        row["link_id"]: row for row in outcomes_table.read_outcomes(store, fingerprint).to_pylist()
    }
    for row in tables.read_table(store, "links").to_pylist():
        found = outcomes.get(row["link_id"])
        of_link = scores.get(row["link_id"], [])
        outcome = Outcome(found["outcome"]) if found else Outcome.DEFERRED
        detail = found["detail"] if found else ""
        if outcome is Outcome.OK and not of_link:
            outcome, detail = Outcome.DEFERRED, "no score yet: run `trailergenre predict` again"
        score = LinkScore(
            url=row["url"] or "",
            link_id=row["link_id"] or "",
            outcome=outcome,
            detail=detail,
            genres=of_link,
            frames=found["frames"] if found else 0,
            seconds={},
            notes=[],
        )
        listed = ListedRow(row["row"], score.url, row["title"], json.loads(row["other"]))
        record = make_record(listed, score, genres=sorted(genres), sha256="")
        del record["model"]
        if not of_link and row["row_outcome"] not in (RowOutcome.READY, RowOutcome.DUPLICATE):
            record |= {"outcome": row["row_outcome"], "detail": row["detail"]}
        yield record


_RECORDS: dict[str, Callable[[Store, str], Iterator[Record]]] = {
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
            rows += [*file.rows]
            on_step(len(rows), n_links)
    urls = {link_id: str(row["url"]) for link_id, row in _ready(store).items()}
    np.savez(
        out,
        link_id=np.array(link_ids),
        url=np.array([urls.get(link_id, "") for link_id in link_ids]),
        features=np.array(rows, np.float32),
    )
    return len(rows)


def _frames_to_directory(store: Store, outcomes: pa.Table, out: Path, n_links: int) -> int:
    out.mkdir(parents=True)
    listed, n_done = _ready(store), 0
    with (
        progress_bar("exporting", unit="links") as on_step,
        (out / "index.csv").open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "row", "url", "title", "frames"])
        for links in iter_links(store, outcomes):
            for link in links:
                row = listed.get(link.link_id, {})
                name = f"{link.link_id}.npy"
                np.save(out / name, link.features)
                facts = [row.get("row"), row.get("url"), row.get("title")]
                writer.writerow([name, *facts, len(link.features)])
                n_done += 1
            on_step(n_done, n_links)
    return n_done
