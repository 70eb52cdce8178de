"""Runs made for tests: links, labels, outcomes, features, as the jobs before leave them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import INCEPTION_V3_WIDTH, FeatureArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import LabelledLink
from trailergenre.runs import features_table, schemas, tables
from trailergenre.runs.fingerprint import FeatureSettings, write_settings

SETTINGS = FeatureSettings("rule", 1.0, 299, 7, "b" * 64, "fp32")
GENRES = ("Action", "Comedy", "Drama", "Horror")


@dataclass(frozen=True)
class Movie:
    """One link of a made run; without features where `features` is None."""

    link: LabelledLink
    features: FeatureArray | None


def link_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def labelled(name: str, genres: Iterable[str], movie_id: str | None = None) -> LabelledLink:
    """A labelled link; its movie has the link's name unless another is given."""
    return LabelledLink(link_id(name), movie_id or f"tt-{name}", frozenset(genres))


def make_movies(n: int, *, seed: int = 7, frames: int = 4, strength: float = 1.0) -> list[Movie]:
    """Movies whose genres stand in the features.

    Movie i has the genre i mod 4 and for three in ten movies another one; each genre shifts 64
    features of its own by `strength` noise widths.
    """
    rng = np.random.default_rng(seed)
    movies = []
    for number in range(n):
        genres = {number % 4} | ({int(rng.integers(4))} if rng.random() < 0.3 else set())
        features = rng.normal(size=(frames, INCEPTION_V3_WIDTH))
        for genre in genres:
            features[:, 64 * genre : 64 * genre + 64] += strength
        link = labelled(f"movie-{number}", [GENRES[genre] for genre in genres])
        movies.append(Movie(link, features.astype(np.float32)))
    return movies


def make_run(
    store: Store,
    movies: Sequence[Movie],
    *,
    links_per_file: int = 8,
    settings: FeatureSettings = SETTINGS,
) -> str:
    """Write a run's links, labels, outcomes and features; give its fingerprint."""
    write_settings(store, settings)
    fingerprint = settings.fingerprint
    ready = [movie for movie in movies if movie.features is not None]
    rows = [
        outcome_row(movie.link.link_id, Outcome.NOT_MEDIA)
        for movie in movies
        if movie.features is None
    ]
    for start in range(0, len(ready), links_per_file):
        chunk = ready[start : start + links_per_file]
        features = {m.link.link_id: m.features for m in chunk if m.features is not None}
        named = write_features(store, fingerprint, features)
        rows += [
            {**outcome_row(link, Outcome.OK, frames=len(frames)), **named}
            for link, frames in features.items()
        ]
    content = tables.to_parquet(pa.Table.from_pylist(rows, schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{fingerprint}", content, ".parquet")
    write_labels(store, [movie.link for movie in movies])
    tables.write_table(store, "links", links_table([movie.link for movie in movies]))
    return fingerprint


def write_labels(store: Store, links: Sequence[LabelledLink]) -> None:
    tables.write_table(store, "labels", labels_table(links))


def labels_table(links: Sequence[LabelledLink]) -> pa.Table:
    rows = [
        {
            "link_id": link.link_id,
            "movie_id": link.movie_id,
            "title": f"Title of {link.movie_id}",
            "genres": sorted(link.genres),
        }
        for link in links
    ]
    return pa.Table.from_pylist(rows, schemas.LABELS)


def links_table(links: Sequence[LabelledLink]) -> pa.Table:
    rows = [
        {
            "row": number,
            "link_id": link.link_id,
            "url": f"http://127.0.0.1/{link.link_id}",
            "title": f"Title of {link.movie_id}",
            "movie_id": link.movie_id,
            "genres": sorted(link.genres),
            "row_outcome": RowOutcome.READY.value,
            "detail": "",
            "other": '{"year": "1999"}',
        }
        for number, link in enumerate(links, start=1)
    ]
    return pa.Table.from_pylist(rows, schemas.LINKS)


def write_features(
    store: Store, fingerprint: str, features: Mapping[str, NDArray[np.float32]]
) -> dict[str, object]:
    """Write one features file; gives the columns by which outcomes rows name it."""
    table = make_features_table(features)
    content = tables.to_parquet(table)
    path = store.write_content_addressed(f"features/{fingerprint}", content, ".parquet")
    return {
        "commit": table["commit"][0].as_py(),
        "features_file": path,
        "features_rows": len(table),
        "features_bytes": len(content),
        "features_sha256": hashlib.sha256(content).hexdigest(),
    }


def make_features_table(features: Mapping[str, NDArray[np.float32]]) -> pa.Table:
    """Rows of the features table, one a frame."""
    counts = [len(frames) for frames in features.values()]
    values = np.concatenate(list(features.values()))
    flat, width = pa.array(values.ravel()), values.shape[1]
    index = np.concatenate([np.arange(n, dtype=np.int32) for n in counts])
    commit = features_table.hash_commit(features.items(), index.astype(np.float64))
    columns = {
        "link_id": pa.array(np.repeat(np.array(list(features), dtype=object), counts), pa.string()),
        "frame_index": pa.array(index),
        "frame_time_s": pa.array(index.astype(np.float64)),
        "features": pa.FixedSizeListArray.from_arrays(flat, width),
        "commit": pa.array([commit] * sum(counts), pa.string()),
    }
    return pa.table(columns, schema=schemas.features_schema(width))


def outcome_row(
    link: str,
    outcome: Outcome,
    *,
    frames: int = 0,
    commit: str | None = None,
    features_file: str | None = None,
) -> dict[str, object]:
    """One row of the outcomes table."""
    return {
        "link_id": link,
        "outcome": outcome.value,
        "detail": "" if outcome is Outcome.OK else "made so",
        "attempts": 1,
        "round": 0,
        "download_s": 0.1,
        "decode_s": 0.1,
        "embed_s": 0.1,
        "size_bytes": None,
        "duration_s": None,
        "pictures_s": None,
        "width_px": None,
        "height_px": None,
        "frames": frames,
        "decode_errors": 0,
        "connections": [],
        "engine": "onnxruntime",
        "device": "cpu",
        "versions": "{}",
        "sandbox": "full",
        "commit": commit,
        "features_file": features_file,
        "features_rows": frames if features_file else None,
        "features_bytes": None,
        "features_sha256": None,
        "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
