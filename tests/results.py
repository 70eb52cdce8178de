"""The programs of docs/results.md, and a run for them that has superseded and unfinished rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from blocks import read_blocks
from runs import SETTINGS, Movie, labelled, make_features_table, make_movies, make_run, outcome_row
from submits import REPOSITORY
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.runs import schemas, tables

FP = SETTINGS.fingerprint


def write_run(directory: Path) -> None:
    """Five links with features and one without, scores, and files that hold older rows, too."""
    store = Store(str(directory))
    movies = [*make_movies(5), Movie(labelled("page", ["Drama"]), None)]
    make_run(store, movies)
    first, failed = movies[0].link.link_id, movies[5].link.link_id
    unfinished = make_features_table({first: np.ones((3, INCEPTION_V3_WIDTH), np.float32)})
    content = tables.to_parquet(unfinished)
    store.write_content_addressed(f"features/{FP}", content, ".parquet")
    superseded = [
        {**outcome_row(first, Outcome.TIMEOUT), "round": 1},
        {**outcome_row(failed, Outcome.DEFERRED), "round": 1},
    ]
    content = tables.to_parquet(pa.Table.from_pylist(superseded, schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{FP}", content, ".parquet")
    scores = [
        {
            "link_id": movie.link.link_id,
            "genre": genre,
            "probability": probability,
            "threshold": 0.3,
            "is_predicted": probability >= 0.3,
            "rank": rank,
            "row": row,
            "url": f"http://127.0.0.1/{movie.link.link_id}",
            "title": f"Title of {movie.link.movie_id}",
            "other": "{}",
        }
        for row, movie in enumerate(movies[:5], start=1)
        for rank, (genre, probability) in enumerate([("Horror", 0.4), ("Drama", 0.2)], start=1)
    ]
    tables.write_table(store, "scores", pa.Table.from_pylist(scores, schemas.SCORES))


def run_program(heading: str, naming: str = "") -> dict[str, Any]:
    """Run the Python blocks below a heading, of several those that name something; their names."""
    page = (REPOSITORY / "docs" / "results.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    names: dict[str, Any] = {}
    for block in read_blocks("docs/results.md", section):
        if block.language == "python" and naming in block.text:
            exec(compile(block.text, f"docs/results.md, {heading}", "exec"), names)
    return names
