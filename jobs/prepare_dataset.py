"""A list of links and its labels to the tables `links` and `labels` of a run.

spark-submit jobs/prepare_dataset.py RUN --links links.csv
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from trailergenre import tables
from trailergenre.config import LinksConfig, load_config
from trailergenre.entry import ConfigOption, RunArgument, SetOption, entry, finish
from trailergenre.errors import ConfigError
from trailergenre.inputs import InputList, is_video_directory, read_input
from trailergenre.labels import (
    Metadata,
    check_alignment,
    read_labels,
    read_metadata,
    replace_genres,
)
from trailergenre.lock import run_lock
from trailergenre.outcomes import ROW_OUTCOME_HELP, RowOutcome
from trailergenre.preparation import PreparedRow, labels_table, links_table, prepare_rows
from trailergenre.storage import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def prepare_dataset(  # noqa: PLR0913 - a command's options
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
        typer.Option("--labels", help="Other labels; they must agree with --metadata."),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="The links are to be scored only: no genres.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
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
    path = links.expanduser()
    _check_options(metadata, labels, unlabelled=unlabelled)
    _check_directory(path, settings.links)
    source = read_input(path)
    _check_source(source, path, has_metadata=metadata is not None, unlabelled=unlabelled)
    rows = prepare_rows(
        source,
        _known_labels(metadata, labels),
        links=settings.links,
        network=settings.network,
        needs_genres=not unlabelled,
    )
    store = Store(run)
    with run_lock(store, "prepare_dataset"):
        tables.write_table(store, "links", links_table(source, rows))
        tables.write_table(store, "labels", labels_table(rows))
    counts = Counter(row.outcome for row in rows)
    _print_counts(counts, source)
    finish(store, "prepare_dataset", _summary(rows, counts))


def _check_options(metadata: Path | None, labels: Path | None, *, unlabelled: bool) -> None:
    if labels is not None and metadata is None:
        raise ConfigError("--labels needs --metadata to be checked against.")
    if unlabelled and metadata is not None:
        raise ConfigError("--unlabelled leaves genres out; give it or --metadata, not both.")


def _check_directory(path: Path, links: LinksConfig) -> None:
    """A directory outside of every root would give nothing but refused rows."""
    if not is_video_directory(path):
        return
    roots = [Path(root).expanduser().resolve() for root in links.allowed_roots]
    if not any(path.resolve().is_relative_to(root) for root in roots):
        raise ConfigError(
            f"{path} is a directory, and local files are links only under an allowed root. "
            f"Add --set 'links.allowed_roots=[\"{path}\"]' to allow it."
        )


def _check_source(source: InputList, path: Path, *, has_metadata: bool, unlabelled: bool) -> None:
    if has_metadata and not any(row.title or row.movie_id for row in source.rows):
        raise ConfigError(
            f"{path} names no movies, so --metadata cannot be joined. Add the column title or "
            f"movie_id. Received: {', '.join(map(repr, source.columns))}."
        )
    if not (source.has_genres or has_metadata or unlabelled):
        raise ConfigError(
            f"{path} has no column 'genres'. Received: {', '.join(map(repr, source.columns))}. "
            "Add it, give --metadata, or give --unlabelled for links that are to be scored only."
        )


def _known_labels(metadata: Path | None, labels: Path | None) -> Metadata | None:
    known = read_metadata(metadata.expanduser()) if metadata is not None else None
    if known is None or labels is None:
        return known
    given = read_labels(labels.expanduser())
    compared = check_alignment(given, known)
    typer.echo(f"labels agree with the metadata ({compared} movies compared)", err=True)
    return replace_genres(known, given, path=labels)


def _print_counts(counts: Counter[RowOutcome], source: InputList) -> None:
    for outcome in RowOutcome:
        typer.echo(f"{counts[outcome]:>8}  {outcome:<18}  {ROW_OUTCOME_HELP[outcome]}", err=True)
    typer.echo(f"{counts.total():>8}  rows of {source.name}", err=True)
    if source.not_videos:
        typer.echo(f"note: {source.not_videos} files are not videos by their names.", err=True)


def _summary(rows: list[PreparedRow], counts: Counter[RowOutcome]) -> dict[str, object]:
    ready = [row for row in rows if row.outcome is RowOutcome.READY]
    movies = {row.movie: row.genres for row in ready}
    genres = Counter(genre for row_genres in movies.values() for genre in row_genres)
    return {
        "rows": len(rows),
        "by_row_outcome": {outcome.value: counts[outcome] for outcome in RowOutcome},
        "links": len(ready),
        "movies": len(movies),
        "movies_by_genre": dict(sorted(genres.items(), key=lambda pair: (-pair[1], pair[0]))),
    }


if __name__ == "__main__":
    app()
