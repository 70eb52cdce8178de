"""G0: labels are the metadata's, and the misaligned matrix is refused."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

from quality.commands import data_directory, run_job, try_job
from trailergenre.base.storage import Store
from trailergenre.runs import tables


def measure_labels(work: Path) -> dict[str, Any]:
    """Prepare the real list; compare the labels table with the metadata, row by row."""
    imdb = data_directory() / "imdb5000"
    run, metadata = work / "imdb", imdb / "movie_metadata.csv"
    list_and_labels = ("--links", imdb / "trailer_source.csv", "--metadata", metadata)
    prepared = run_job("prepare_dataset", run, *list_and_labels)
    truth = _read_metadata(metadata)
    labels = tables.read_table(Store(str(run)), "labels").to_pylist()
    equal = [(row["title"], set(row["genres"])) in truth[row["movie_id"]] for row in labels]
    matrix = imdb / "movie_genre_matrix.csv"
    refused = try_job("prepare_dataset", work / "refused", *list_and_labels, "--labels", matrix)
    return {
        "data": "imdb5000: trailer_source.csv, movie_metadata.csv, movie_genre_matrix.csv",
        "rows": prepared["rows"],
        "by_row_outcome": prepared["by_row_outcome"],
        "movies": prepared["movies"],
        "equal_share": sum(equal) / len(equal),
        "matrix_exit_code": refused.code,
        "matrix_refusal": next(
            line for line in refused.said.splitlines() if line.startswith("error:")
        ),
    }


def _read_metadata(path: Path) -> dict[str, list[tuple[str, set[str]]]]:
    """Titles and genres by IMDb id, read without any of the project's code."""
    movies: dict[str, list[tuple[str, set[str]]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            movie_id = row["movie_imdb_link"].partition("/title/")[2].partition("/")[0]
            movies[movie_id].append((row["movie_title"].strip(), set(row["genres"].split("|"))))
    return movies
