"""Prepare a run: a list of links and its labels, or external features, to the first tables."""

from __future__ import annotations

import itertools

from trailergenre.base.config import Config
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.base.terminal import open_console, print_line
from trailergenre.links.prepare import Preparation, Sources, prepare_dataset
from trailergenre.runs.sessions import record_summary


def prepare(store: Store, sources: Sources, settings: Config) -> Preparation:
    """Clean a list of links and join it with genres; say what became of its rows."""
    sources.check()
    with progress_bar("preparing the run") as on_step:
        prepared = prepare_dataset(store, sources, settings, on_step)
    for outcome in RowOutcome:
        n_rows = prepared.counts[outcome]
        if n_rows or outcome is RowOutcome.READY:
            print_line(f"{n_rows:>8}  {outcome:<18}  {outcome.meaning}", err=True)
    print_line(f"{prepared.counts.total():>8}  rows of {prepared.source}", err=True)
    if prepared.movies_by_genre:
        print_line("movies of each genre:", err=True)
    for genre, n_movies in itertools.islice(prepared.movies_by_genre.items(), 100):
        print_line(f"{n_movies:>8}  {genre}", err=True)
    console = open_console()
    for note in prepared.notes:
        console.print(note, soft_wrap=not console.is_terminal)  # else wrapped between words
    told = ("rows", "by_row_outcome", "movies_by_genre")
    record_summary(store, "prepare_dataset", prepared.summary, told=told)
    return prepared
