"""Reads the table `features`, whose rows are reached only through outcomes rows."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FeatureArray
from trailergenre.base.storage import Store
from trailergenre.runs import schemas
from trailergenre.runs.tables import LinkIds, advising, filter_links, read_content_addressed

REFERENCE_COLUMNS = "commit", "features_file", "features_rows", "features_bytes", "features_sha256"
"""Columns by which an `ok` outcomes row refers to its features."""


FEATURE_COLUMNS = ("link_id", "outcome", *REFERENCE_COLUMNS)
"""Columns by which readers of features reach them."""


def group_by_file(outcomes: pa.Table, per_link: Sequence[str] = ("link_id",)) -> pa.Table:
    """List the features files of current outcomes, sorted by path; a row is what they say of one.

    Its columns are `REFERENCE_COLUMNS`, and NAME_list for each column in `per_link`.
    """
    named = outcomes.select(["outcome", *REFERENCE_COLUMNS, *per_link])
    texts = [name for name in REFERENCE_COLUMNS if schemas.OUTCOMES.field(name).type == pa.string()]
    for name in texts:  # of a million links, the same texts again and again take half a gigabyte
        named = _replace(named, name, named[name].dictionary_encode())
    named = named.filter(pc.equal(named["outcome"], Outcome.OK.value)).unify_dictionaries()
    lists: list[tuple[str, str]] = [(name, "list") for name in per_link]
    # In one thread, since others would give the links of a file in any order.
    files = named.group_by(list(REFERENCE_COLUMNS), use_threads=False).aggregate(lists)
    for name in texts:
        files = _replace(files, name, files[name].cast(pa.string()))
    return files.sort_by("features_file")


def _replace(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def rows_of_file(file: Mapping[str, Any]) -> pa.Table:
    """Turn a row of `group_by_file` into the outcomes rows that it stands for."""
    lists = {name.removesuffix("_list"): file[name] for name in file.keys() - {*REFERENCE_COLUMNS}}
    n_links = len(file["link_id_list"])
    same = {name: file[name] for name in REFERENCE_COLUMNS} | {"outcome": Outcome.OK.value}
    columns = lists | {name: [value] * n_links for name, value in same.items()}
    fields = [schemas.OUTCOMES.field(name) for name in columns]
    return pa.table(columns, schema=pa.schema(fields))


def iter_features(
    store: Store, outcomes: pa.Table, link_ids: LinkIds | None = None
) -> Iterator[pa.Table]:
    """Read the features of current outcomes, one table per file; of all links by default."""
    for path, named in by_features_file(outcomes, link_ids):
        yield referenced_rows(read_features(store, path, named), named)


def by_features_file(
    outcomes: pa.Table, link_ids: LinkIds | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """Group current outcomes by the features file that they refer to; of all links by default."""
    current = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if link_ids is not None:
        current = filter_links(current, link_ids)
    ordered = current.sort_by("features_file")
    lengths = pc.value_counts(ordered["features_file"]).field("counts").to_pylist()
    for start, length in zip(itertools.accumulate(lengths, initial=0), lengths, strict=False):
        named = ordered.slice(start, length)
        yield named["features_file"][0].as_py(), named


def read_features(store: Store, path: str, named: pa.Table) -> pa.Table:
    """Read all rows of a features file, and check it against outcomes rows that refer to it."""
    with advising(store):
        table = read_content_addressed(store, "features", path)
        received = (len(table), PurePosixPath(path).stem)
        columns = (named[name].to_pylist() for name in ("features_rows", "features_sha256"))
        wrong = set(zip(*columns, strict=True)) - {received}
        if wrong:
            raise StorageError(
                f"{path} below {store} does not match its outcomes rows: expected (rows, SHA-256) "
                f"{wrong}, received {received}."
            )
        return table


def referenced_rows(features: pa.Table, named: pa.Table) -> pa.Table:
    """Select the rows of a features file that belong to link and commit of its outcomes rows."""
    reached = pc.and_(
        pc.is_in(features["link_id"], named["link_id"].combine_chunks()),
        pc.equal(features["commit"], named["commit"][0]),
    )
    return features.filter(reached)


def hash_commit(links: Iterable[tuple[str, FeatureArray]], frame_time_s: np.ndarray) -> str:
    """Hash the content of a commit, independently of its encoding, with SHA-256.

    `links` has each link's id and features in the file's order; `frame_time_s` is of all rows.
    """
    digest = hashlib.sha256()
    for link_id, features in links:
        digest.update(link_id.encode())
        digest.update(np.ascontiguousarray(features).data)
    digest.update(np.ascontiguousarray(frame_time_s).data)
    return digest.hexdigest()
