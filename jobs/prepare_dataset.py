"""A list of links and its labels, or published features, to the first tables of a run.

spark-submit jobs/prepare_dataset.py RUN --links links.csv
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Annotated

import typer

from trailergenre.base.config import LinksConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import ROW_OUTCOME_HELP, RowOutcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.cli.entry import ConfigOption, RunArgument, SetOption, entry
from trailergenre.links.external.commit import commit_external
from trailergenre.links.external.data import ExternalFeatures
from trailergenre.links.external.read import read_external
from trailergenre.links.external.split import read_split
from trailergenre.links.input_lists import InputList, is_video_directory, read_input
from trailergenre.links.labelled_links import Part
from trailergenre.links.metadata import (
    Metadata,
    check_alignment,
    read_labels,
    read_metadata,
    replace_genres,
)
from trailergenre.links.prepare import (
    PreparedRow,
    give_parts,
    labels_table,
    links_table,
    prepare_external,
    prepare_rows,
)
from trailergenre.runs import tables
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.sessions import record_summary

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def prepare_dataset(  # noqa: PLR0913 - a command's options
    run: RunArgument,
    links: Annotated[
        Path | None,
        typer.Option(
            "--links",
            metavar="PATH",
            help="CSV or Parquet with url, title, genres; or a directory of videos.",
        ),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            "--published",
            metavar="PATH",
            help="In place of --links: features that others published, a CSV of MMTF-14K's form "
            "or a directory of Mulan's ARFF files with their XML.",
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata", metavar="FILE", help="movie_metadata.csv: genres and IMDb ids by title."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE", help="Other labels; they must agree with --metadata."
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            metavar="FILE",
            help="A published split: JSON of trn, val, tst by YouTube id.",
        ),
    ] = None,
    split_movies: Annotated[
        Path | None,
        typer.Option(
            "--split-movies",
            metavar="FILE",
            help="CSV of youtube_id and imdb_id: the split then holds for movies, whatever trailer "
            "of theirs is listed.",
        ),
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
        --links trailer_source.csv --metadata movie_metadata.csv \\
        --splits splits.json --split-movies trailers_genres_clean.csv
      spark-submit jobs/prepare_dataset.py runs/disk --links ~/trailers \\
        --set 'links.allowed_roots=["~/trailers"]'
      spark-submit jobs/prepare_dataset.py runs/mmtf --published trailer_visual_avg.csv
    """
    settings = load_config(config or (), overrides or ())
    given = {
        "--metadata": metadata,
        "--labels": labels,
        "--splits": splits,
        "--split-movies": split_movies,
        "--unlabelled": unlabelled,
    }
    _check_options(links, published, {name for name, value in given.items() if value})
    with progress_bar("reading"):
        data = read_external(published.expanduser()) if published is not None else None
        source = data.source if data is not None else _read_list(links, settings.links)
    _check_source(source, has_metadata=metadata is not None, unlabelled=unlabelled)
    known = _known_labels(metadata, labels)
    if data is not None:
        _publish(Store(run), data, known)
        return
    with progress_bar(f"cleaning {len(source.rows)} rows"):
        rows = prepare_rows(
            source,
            known,
            links=settings.links,
            network=settings.network,
            needs_genres=not unlabelled,
        )
    parts = None if splits is None else _read_split(splits, split_movies)
    _prepare(Store(run), source, rows, parts)


def _check_options(links: Path | None, published: Path | None, given: Set[str]) -> None:
    if (links is None) == (published is None):
        raise ConfigError("Give --links or --published, one of them.")
    if published is not None and given - {"--metadata"}:
        raise ConfigError("--published takes --metadata alone: its labels and parts are its own.")
    if "--unlabelled" in given and given & {"--metadata", "--splits"}:
        raise ConfigError(
            "--unlabelled leaves genres out; give it or --metadata and --splits, not both."
        )
    for option, needed in (("--labels", "--metadata"), ("--split-movies", "--splits")):
        if option in given and needed not in given:
            raise ConfigError(f"{option} needs {needed}, which it is read with.")


def _read_list(links: Path | None, config: LinksConfig) -> InputList:
    path = (links or Path()).expanduser()
    _check_directory(path, config)
    return read_input(path)


def _read_split(splits: Path, movies: Path | None) -> dict[str, Part]:
    return read_split(splits.expanduser(), movies.expanduser() if movies is not None else None)


def _prepare(
    store: Store, source: InputList, rows: list[PreparedRow], parts: Mapping[str, Part] | None
) -> None:
    facts = {} if parts is None else {"links_with_part": give_parts(rows, parts)}
    with hold_lease(store, "prepare_dataset"):
        _write(store, source, rows)
    _finish(store, source, rows, facts)


def _publish(store: Store, data: ExternalFeatures, known: Metadata | None) -> None:
    source = data.source
    rows = prepare_external(source, data.parts, known)
    ready = {
        row.link.link_id: place
        for place, row in enumerate(rows)
        if row.outcome is RowOutcome.READY and row.link is not None
    }
    with hold_lease(store, "prepare_dataset"):
        commit_external(store, data, ready)
        _write(store, source, rows)
    if data.n_replaced:
        typer.echo(
            f"note: {data.n_replaced} cells were not finite; their column's median replaces them.",
            err=True,
        )
    settings = data.settings
    facts = {"features": settings.fingerprint, "width": settings.width}
    _finish(store, source, rows, {**facts, "replaced_cells": data.n_replaced})


def _write(store: Store, source: InputList, rows: list[PreparedRow]) -> None:
    # A kill in between leaves no labels, which is found, rather than those of an older list.
    store.delete_directory("labels")
    tables.write_table(store, "links", links_table(source, rows))
    tables.write_table(store, "labels", labels_table(rows))


def _finish(
    store: Store, source: InputList, rows: list[PreparedRow], facts: Mapping[str, object]
) -> None:
    counts = Counter(row.outcome for row in rows)
    _print_counts(counts, source)
    record_summary(store, "prepare_dataset", {**_summary(rows, counts), **facts})


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


def _check_source(source: InputList, *, has_metadata: bool, unlabelled: bool) -> None:
    if has_metadata and not any(row.title or row.movie_id for row in source.rows):
        raise ConfigError(
            f"{source.name} names no movies, so --metadata cannot be joined. Add the column title "
            f"or movie_id. Received: {', '.join(map(repr, source.columns))}."
        )
    if not (source.has_genres or has_metadata or unlabelled):
        raise ConfigError(
            f"{source.name} has no column 'genres'. Received: "
            f"{', '.join(map(repr, source.columns))}. Add it, give --metadata, or give "
            "--unlabelled for links that are to be scored only."
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
