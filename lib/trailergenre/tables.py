"""Reading and writing the tables of a run as Parquet, checked against `schemas`, without Spark.

    RUN/links/          one row an input row; one file, replaced at once
    RUN/labels/         one row a labelled link; one file, replaced at once
    RUN/outcomes/FP/    one row a finished link, in many small content-addressed files
    RUN/features/FP/    one row a frame; reached only through the outcomes rows that name the files
    RUN/scores/         one row a link and genre, in the files that Spark wrote

FP is the features fingerprint (`trailergenre.fingerprint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailergenre import schemas
from trailergenre.errors import ConfigError
from trailergenre.outcomes import Outcome
from trailergenre.storage import Store


def to_parquet(table: pa.Table) -> bytes:
    """Encode a table as one Parquet file.

    Feature values do not repeat, so a dictionary for them would only cost time.
    """
    sink = pa.BufferOutputStream()
    dictionary = [column for column in table.column_names if column != "features"]
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return bytes(sink.getvalue().to_pybytes())


_WHOLE_FILE = "table.parquet"
"""A table written by `write_table`: under one name, the new file takes the old one's place."""


def write_table(store: Store, name: str, table: pa.Table) -> None:
    """Replace a small table by one file, at once.

    Raises:
        SchemaError: the columns are not those of `schemas.TABLES[name]`.
    """
    schemas.check_table(name, table.schema)
    path = f"{name}/{_WHOLE_FILE}"
    store.write_bytes(path, to_parquet(table))
    for stale in store.list_files(name):
        if stale.path != path:
            store.delete(stale.path)


def read_table(store: Store, name: str) -> pa.Table:
    """Read a small table whole: the file of `write_table`, or all that Spark wrote.

    Raises:
        ConfigError: the table is not there; says which job writes it.
        SchemaError: its columns are not those declared.
    """
    files = [file.path for file in store.list_files(name)]
    if not files:
        raise ConfigError(
            f"There is no table {name!r} below {store}. "
            f"Run jobs/{_WRITERS[name]}.py first, or check the run's address."
        )
    whole = f"{name}/{_WHOLE_FILE}"
    if whole in files:
        files = [whole]  # another is what a killed writer did not come to delete
    return pa.concat_tables([_read_file(store, name, path) for path in files])


_WRITERS = {
    "links": "prepare_dataset",
    "labels": "prepare_dataset",
    "outcomes": "featurize",
    "features": "featurize",
    "scores": "predict_genres",
}


def _read_file(store: Store, name: str, path: str) -> pa.Table:
    with store.open_input(path) as source:
        table = pq.ParquetFile(source).read()
    schemas.check_table(name, table.schema)
    return table.select(schemas.TABLES[name].names).cast(schemas.TABLES[name])


def read_outcomes(
    store: Store, fingerprint: str, known: dict[str, pa.Table] | None = None
) -> pa.Table:
    """Read the current outcome of every finished link: one row a link.

    Where a link stands several times (a twin, an old driver's late task, a deferral taken up
    again): `ok` beats failure beats `deferred`, then the earliest `finished_at`, then the file's
    name. A run without any outcome gives an empty table.

    Args:
        store: the run.
        fingerprint: of the features.
        known: for one who reads again and again: files read before, which never change; new ones
            are added.
    """
    known = {} if known is None else known
    parts = []
    for file in store.list_files(f"outcomes/{fingerprint}"):
        if file.path not in known:
            known[file.path] = _read_file(store, "outcomes", file.path)
        part = known[file.path]
        parts.append(part.append_column("_file", pa.array([file.path] * len(part), pa.string())))
    if not parts:
        return schemas.OUTCOMES.empty_table()
    return _current(pa.concat_tables(parts))


def _current(rows: pa.Table) -> pa.Table:
    outcome = rows["outcome"]
    rank = pc.if_else(
        pc.equal(outcome, Outcome.OK.value),
        0,
        pc.if_else(pc.equal(outcome, Outcome.DEFERRED.value), 2, 1),
    )
    ordered = rows.append_column("_rank", rank).sort_by(
        [
            ("link_id", "ascending"),
            ("_rank", "ascending"),
            ("finished_at", "ascending"),
            ("_file", "ascending"),
        ]
    )
    link_ids = ordered["link_id"].combine_chunks()
    is_first = pa.array([True] * min(1, len(ordered)), pa.bool_())
    if len(ordered) > 1:
        changes = pc.not_equal(link_ids[1:], link_ids[:-1])
        is_first = pa.concat_arrays([is_first, changes])
    return ordered.filter(is_first).select(schemas.OUTCOMES.names)


def of_links(rows: pa.Table, link_ids: Iterable[str]) -> pa.Table:
    """The rows of these links alone."""
    wanted = pa.array(sorted(set(link_ids)), pa.string())
    return rows.filter(pc.is_in(rows["link_id"], wanted))


def feature_files(outcomes: pa.Table) -> list[str]:
    """The features files that current outcomes rows name, sorted."""
    named = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    return sorted(set(named["features_file"].to_pylist()))


def iter_features(
    store: Store, outcomes: pa.Table, link_ids: Iterable[str] | None = None
) -> Iterator[pa.Table]:
    """Read the features of current `ok` outcomes, one table a file, only rows they reach.

    Args:
        store: the run.
        outcomes: from `read_outcomes`.
        link_ids: where given, only these links.
    """
    current = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if link_ids is not None:
        current = of_links(current, link_ids)
    for path in feature_files(current):
        named = current.filter(pc.equal(current["features_file"], path))
        table = _read_file(store, "features", path)
        commit = named["commit"][0]
        reached = pc.and_(
            pc.is_in(table["link_id"], named["link_id"].combine_chunks()),
            pc.equal(table["commit"], commit),
        )
        yield table.filter(reached)
