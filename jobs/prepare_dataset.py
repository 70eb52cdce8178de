"""A list of links and its labels to the tables `links` and `labels` of a run.

spark-submit jobs/prepare_dataset.py RUN --links links.csv
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trailergenre import tables
from trailergenre.config import Config, load_config
from trailergenre.entry import ConfigOption, RunArgument, SetOption, entry, finish
from trailergenre.errors import ConfigError, ExitCode
from trailergenre.inputs import InputList, read_input
from trailergenre.labels import Metadata, Movie, check_alignment, read_labels, read_metadata
from trailergenre.outcomes import RowOutcome
from trailergenre.preparation import labels_table, links_table, prepare_rows
from trailergenre.storage import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def prepare_dataset(
    run: RunArgument,
    links: Annotated[
        Path,
        typer.Option(
            "--links", help="CSV or Parquet with url, title, genres; or a directory of videos."
        ),
    ],
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", help="movie_metadata.csv: genres and IMDb ids by title."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Other labels, by title; must agree with --metadata."),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="The links are to be scored only: no genres.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Clean a list of links and join it with its genres; one row_outcome for every input row.

    \b
    Examples:
      spark-submit jobs/prepare_dataset.py runs/mine --links links.csv
      spark-submit jobs/prepare_dataset.py runs/imdb \\
        --links trailer_source.csv --metadata movie_metadata.csv
      spark-submit jobs/prepare_dataset.py runs/disk --links ~/trailers \\
        --set 'links.allowed_roots=["~/trailers"]'
    """
    settings = load_config(config or (), overrides or ())
    source = read_input(links.expanduser())
    _check_options(source, settings, links, has_metadata=metadata is not None, scored=unlabelled)
    known = _known_labels(metadata, labels)
    rows = prepare_rows(
        source,
        known,
        links=settings.links,
        network=settings.network,
        needs_genres=not unlabelled,
    )
    store = Store(run)
    tables.write_table(store, "links", links_table(source, rows))
    tables.write_table(store, "labels", labels_table(rows))
    counts = Counter(row.outcome for row in rows)
    ready = [row for row in rows if row.outcome is RowOutcome.READY]
    genres = Counter(
        genre for _, genre in {(row.movie, genre) for row in ready for genre in row.genres}
    )
    for outcome in RowOutcome:
        typer.echo(f"{counts[outcome]:>8}  {outcome}", err=True)
    typer.echo(f"{len(source.rows):>8}  rows", err=True)
    if source.not_videos:
        typer.echo(f"note: {source.not_videos} files are not videos by their names.", err=True)
    finish(
        store,
        "prepare_dataset",
        {
            "rows": len(source.rows),
            "by_row_outcome": {outcome.value: counts[outcome] for outcome in RowOutcome},
            "links": len(ready),
            "movies": len({row.movie or row.link for row in ready}),
            "movies_by_genre": dict(genres.most_common()),
        },
    )
    return ExitCode.FINISHED


def _check_options(
    source: InputList, config: Config, path: Path, *, has_metadata: bool, scored: bool
) -> None:
    if path.expanduser().is_dir() and not config.links.allowed_roots:
        raise ConfigError(
            f"{path} is a directory, and local files are links only under an allowed root. "
            f"Add --set 'links.allowed_roots=[\"{path}\"]' to allow it."
        )
    if not (source.has_genres or has_metadata or scored):
        raise ConfigError(
            f"{path} has no column 'genres'. Add it, give --metadata, or give --unlabelled for "
            "links that are to be scored only."
        )


def _known_labels(metadata: Path | None, labels: Path | None) -> Metadata | None:
    if metadata is None:
        if labels is not None:
            raise ConfigError("--labels needs --metadata to be checked against.")
        return None
    known = read_metadata(metadata.expanduser())
    if labels is None:
        return known
    given = read_labels(labels.expanduser())
    compared = check_alignment(given, known)
    typer.echo(f"labels agree with the metadata ({compared} movies compared)", err=True)
    return _relabel(known, given)


def _relabel(known: Metadata, given: dict[str, tuple[str, ...]]) -> Metadata:
    """Keep the metadata's ids and take the genres of the given labels."""

    def relabelled(movie: Movie) -> Movie:
        return replace(movie, genres=given.get(movie.title, ()))

    return Metadata(
        by_title={t: tuple(relabelled(m) for m in movies) for t, movies in known.by_title.items()},
        by_id={movie_id: relabelled(movie) for movie_id, movie in known.by_id.items()},
    )


if __name__ == "__main__":
    app()
