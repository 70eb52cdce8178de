"""The clean movies and the genres of papers, against the table that was measured beforehand."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.outcomes import RowOutcome
from trailergenre.links.input_lists import read_input
from trailergenre.links.metadata import LabelRow, check_alignment, read_metadata
from trailergenre.links.row_outcomes import PreparedRow, prepare_rows
from trailergenre.metrics.genre_sets import GENRE_SETS
from trailergenre.metrics.multilabel import measure

PRIOR = {
    "Trailers12k-10": (0.244, 0.383, 0.303, 0.603, 0.401, 0.556, 0.753),
    "LMTD-9": (0.257, 0.392, 0.313, 0.610, 0.402, 0.576, 0.726),
    "Moviescope-13": (0.198, 0.370, 0.283, 0.578, 0.401, 0.518, 0.781),
    "all 20": (0.148, 0.348, 0.260, 0.539, 0.398, 0.459, 0.842),
}
"""mAP, µAP, wAP, sAP, P@3, R@3, oracle P@3 of the label prior; measured before there was code."""


@cache
def clean_rows(data_dir: Path) -> list[PreparedRow]:
    """The ready rows of the original project's links."""
    imdb = data_dir / "imdb5000"
    rows = prepare_rows(
        read_input(imdb / "trailer_source.csv"),
        read_metadata(imdb / "movie_metadata.csv"),
        links=LinksConfig(),
        network=NetworkConfig(),
        needs_genres=True,
    )
    return [row for row in rows if row.outcome is RowOutcome.READY]


def genres_of_movies(data_dir: Path) -> dict[str, set[str]]:
    return {row.movie: set(row.genres) for row in clean_rows(data_dir)}


def test_the_labels_are_those_of_the_metadata_on_all_but_half_a_percent(data_dir: Path) -> None:
    metadata = read_metadata(data_dir / "imdb5000" / "movie_metadata.csv")
    rows = clean_rows(data_dir)
    alike = [row.genres == metadata.by_id[row.movie].genres for row in rows]
    assert (len(rows), np.mean(alike)) == (3742, 1.0)
    labels = [LabelRow(row.movie, row.source.title, row.genres) for row in rows]
    assert check_alignment(labels, metadata) == 3736


@pytest.mark.parametrize("name", PRIOR)
def test_the_prior_of_each_set_is_what_was_measured(name: str, data_dir: Path) -> None:
    movies = genres_of_movies(data_dir)
    counts = {genre: 0 for genres in movies.values() for genre in genres}
    for genres in movies.values():
        for genre in genres:
            counts[genre] += 1
    all_20 = tuple(genre for genre, n in counts.items() if n >= 50)
    assert len(all_20) == 20
    chosen = GENRE_SETS.get(name, all_20)
    truth = np.array(
        [[g in genres for g in chosen] for genres in movies.values() if genres & set(chosen)],
        dtype=np.int8,
    )
    prior = np.repeat(truth.mean(axis=0)[None], len(truth), axis=0)
    found = measure(truth, prior, genres=chosen, thresholds=np.full(len(chosen), 0.5))
    figures = (
        found.mean_ap,
        found.micro_ap,
        found.weighted_ap,
        found.sample_ap,
        found.precision_at_3,
        found.recall_at_3,
        found.oracle_precision_at_3,
    )
    assert figures == pytest.approx(PRIOR[name], abs=0.0006)  # given to three places
