"""Prepare a run: a list of links and its labels, or external features, to the first tables."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

from typer import Option

from trailergenre.base.config_files import load_config
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.cli.entry import CommandLine, ConfigOption, RunArgument, SetOption, entry
from trailergenre.links import prepare
from trailergenre.runs.sessions import record_summary

app = CommandLine(add_completion=False)


@app.command()
@entry
def prepare_dataset(  # noqa: PLR0913 - a command's options
    run: RunArgument,
    links: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="A table (CSV, JSON, Parquet, text): url, title, genres. Or a folder of videos.",
        ),
    ] = None,
    published: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="External features in place of --links: a CSV in MMTF-14K's format, or a "
            "directory with Mulan's ARFF and XML files.",
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        Option(metavar="FILE", help="movie_metadata.csv: genres and IMDb ids by title."),
    ] = None,
    labels: Annotated[
        Path | None, Option(metavar="FILE", help="Other labels, which must agree with --metadata.")
    ] = None,
    splits: Annotated[
        Path | None,
        Option(metavar="FILE", help="A given split: JSON with trn, val, tst by YouTube id."),
    ] = None,
    split_movies: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="CSV of youtube_id and imdb_id: apply the split to movies, not to trailers.",
        ),
    ] = None,
    unlabelled: Annotated[
        bool, Option("--unlabelled", help="Links without genres, only to be scored.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Clean a list of links and join it with genres; every input row gets one row_outcome.

    \b
    Examples:
      spark-submit jobs/prepare_dataset.py runs/mine --links links.csv
      spark-submit jobs/prepare_dataset.py runs/imdb \\
        --links trailer_source.csv --metadata movie_metadata.csv \\
        --splits splits.json --split-movies trailers_genres_clean.csv
      spark-submit jobs/prepare_dataset.py runs/disk --links ~/trailers \\
        --set 'links.allowed_roots=["~/trailers"]'
      spark-submit jobs/prepare_dataset.py runs/mmtf --published trailer_visual_avg.csv
    """
    sources = prepare.Sources(links, published, metadata, labels, splits, split_movies, unlabelled)
    sources.check()
    settings = load_config(config or (), overrides or ())
    store = Store(run)
    with progress_bar("preparing the run"):
        prepared = prepare.prepare_dataset(store, sources, settings)
    for outcome in RowOutcome:
        n_rows = prepared.counts[outcome]
        print_line(f"{n_rows:>8}  {outcome:<18}  {outcome.meaning}", err=True)
    print_line(f"{prepared.counts.total():>8}  rows of {prepared.source}", err=True)
    if prepared.movies_by_genre:
        print_line("movies of each genre:", err=True)
    for genre, n_movies in itertools.islice(prepared.movies_by_genre.items(), 100):
        print_line(f"{n_movies:>8}  {genre}", err=True)
    for note in prepared.notes:
        print_line(note, err=True)
    record_summary(store, "prepare_dataset", prepared.summary)


if __name__ == "__main__":
    app()
