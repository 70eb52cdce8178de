"""`trailergenre score`: links, files, folders and lists to genres, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from trailergenre.base.errors import ConfigError, ExitCode, ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import VIDEO_SUFFIXES
from trailergenre.base.terminal import open_console, print_line
from trailergenre.cli.entry import ConfigOption, JsonOption, SetOption, UrlColumnOption, entry

if TYPE_CHECKING:
    from trailergenre.base.config import Config
    from trailergenre.base.records import Link
    from trailergenre.models.bundle import Bundle
    from trailergenre.models.score_files import ListedRow, ScoreTable
    from trailergenre.models.score_link import LinkScore

_LISTS = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".gz"}
_MAX_SHOWN = 20
"""Links whose genres are printed, if there is a file with all of them."""


@entry
def score(
    links: Annotated[
        list[str],
        Argument(
            metavar="LINK...",
            help="Links, videos, folders of videos, or lists of links in any format; - reads a "
            "list from standard input.",
        ),
    ],
    bundle: Annotated[
        str | None,
        Option(
            metavar="DIR",
            help="Model bundle: its directory, its .tar or the .tar's address; default: "
            "score.bundle, or the only one of runs/*/bundle.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Write a table: .csv, .parquet or .jsonl. A file that exists is completed.",
        ),
    ] = None,
    report: Annotated[
        Path | None, Option(metavar="FILE", help="Also write an HTML page, of one link.")
    ] = None,
    url_column: UrlColumnOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Print the genres of trailers: probability, threshold, and yes if it is reached.

    --out writes a row for each row of the list, with the list's own columns and all genres of the
    bundle. If it is stopped, run it again: rows with a score are kept.

    --report writes a page, also when the link fails. It shows the genres along the trailer, the
    most influential frames, and the outcome and time of each step.

    \b
    Examples:
      trailergenre score 'https://www.youtube.com/watch?v=eUTtt14G31c' --bundle bundles/mine
      trailergenre score trailer.mp4 --report trailer.html
      trailergenre score new.csv --out genres.csv
      trailergenre score ~/trailers --json
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.models.bundle_file import open_bundle
    from trailergenre.models.score_files import ScoreTable
    from trailergenre.models.score_link import LinkScore
    from trailergenre.models.use_backbone import use_backbone

    _check_outputs(links, out, report)
    settings = load_config(config or (), overrides or ())
    rows, cells = _read_arguments(links, url_column, settings)
    model = open_bundle(bundle or settings.score.bundle or _find_bundle(), settings)
    table = ScoreTable(rows, model, out)
    settings = use_backbone(settings, model)
    todo = [
        place
        for place, cell in enumerate(cells)
        if isinstance(cell, LinkScore) or not table.take_finished(place, cell)
    ]
    table.check_taken()
    try:
        if report is None:
            scores = _score(table, {place: cells[place] for place in todo}, model, settings)
        else:
            scores = {0: _report(links[0], model, settings, report)}
            table.add(0, scores[0])
    finally:
        table.save()
        if out is not None:
            print_line(f"{len(table.records)} of {len(rows)} rows are in {out}", err=True)
    if as_json:
        for place, result in scores.items():
            row = rows[place]
            listed = {"row": row.number, "title": row.title, **row.other}
            print_line(json.dumps({**result.to_json(), "list": listed}))
    _show(scores, rows, settings.score.top, is_written=out is not None, as_json=as_json)
    outcomes = {str(record["outcome"]) for record in table.records}
    if Outcome.DEFERRED in outcomes:
        return ExitCode.INCOMPLETE
    return ExitCode.FINISHED if Outcome.OK in outcomes else ExitCode.USAGE


def _check_outputs(links: Sequence[str], out: Path | None, report: Path | None) -> None:
    from trailergenre.models.score_files import check_out

    if out is not None:
        check_out(out)
    if report is not None:
        from trailergenre.reports.pages import ReportFile

        if len(links) != 1 or _is_list(links[0]):
            raise ConfigError(f"--report is for one link. Received: {' '.join(links)}.")
        ReportFile.named(report).check()


def _report(link: str, model: Bundle, settings: Config, page: Path) -> LinkScore:
    from trailergenre.base.progress import progress_bar
    from trailergenre.reports.link_report import report_link
    from trailergenre.reports.pages import ReportFile

    with progress_bar("scoring"):
        result = report_link(link, model, settings, page=ReportFile.named(page))
    print_line(f"report: {page}", err=True)
    return result


def _read_arguments(
    arguments: Sequence[str], url_column: str | None, settings: Config
) -> tuple[list[ListedRow], list[Link | LinkScore]]:
    """The rows of all lists, folders and links, each with its link or why it is none."""
    from trailergenre.links.columns import NamedColumns
    from trailergenre.links.input_lists import read_input
    from trailergenre.models.score_files import ListedRow
    from trailergenre.models.score_link import allow_directory

    rows: list[ListedRow] = []
    cells: list[Link | LinkScore] = []
    for argument in arguments:
        path = Path(argument).expanduser()
        if not _is_list(argument):
            rows.append(ListedRow(len(rows) + 1, argument))
            cells.append(_parse(argument, settings, None))
            continue
        source = read_input(path, NamedColumns(url_column), needs_genres=False)
        for note in source.notes:
            print_line(f"note: {note}", err=True)
        allowed = allow_directory(path.resolve(), settings) if path.is_dir() else settings
        for row in source.rows:
            number = row.number if len(arguments) == 1 else len(rows) + 1
            rows.append(ListedRow(number, row.url, row.title, row.other))
            cells.append(_parse(row.url, allowed, source.base))
    return rows, cells


def _is_list(argument: str) -> bool:
    """Whether an argument is a folder or a list of links; an empty one is a link that is none."""
    path = Path(argument).expanduser()
    if not argument.strip() or path.suffix.lower() in VIDEO_SUFFIXES:
        return False
    if path.is_dir() or path.is_file() or argument == "-":
        return True
    return "://" not in argument and path.suffix.lower() in _LISTS


def _parse(cell: str, settings: Config, base: Path | None) -> Link | LinkScore:
    from trailergenre.models.score_link import failed_score, parse_cell

    try:
        return parse_cell(cell, settings, base)
    except ItemError as error:
        return failed_score(cell, error)


def _find_bundle() -> str:
    found = sorted(str(path.parent) for path in Path("runs").glob("*/bundle/manifest.json"))
    if len(found) == 1:
        print_line(f"model: {found[0]}", err=True)
        return found[0]
    raise ConfigError(
        f"There are several bundles: {', '.join(found)}. Name one with --bundle DIR."
        if found
        else "No model bundle is given. Create one with `trailergenre run LIST` or `trailergenre "
        "demo`; then give --bundle DIR, or set score.bundle in trailergenre.toml."
    )


def _score(
    table: ScoreTable, cells: Mapping[int, Link | LinkScore], model: Bundle, settings: Config
) -> dict[int, LinkScore]:
    """Score rows, given by place; gives their scores in the list's order."""
    from trailergenre.base.progress import progress_bar
    from trailergenre.base.records import Link
    from trailergenre.models.score_link import score_links

    scores: dict[int, LinkScore] = {}
    links: dict[int, Link] = {}
    for place, cell in cells.items():
        if isinstance(cell, Link):
            links[place] = cell
        else:
            scores[place] = cell
            table.add(place, cell)
    places = list(links)
    with progress_bar("scoring", unit="links") as on_step:
        of_links = score_links(list(links.values()), model, settings)
        for done, (number, score) in enumerate(of_links, start=1):
            scores[places[number]] = score
            table.add(places[number], score)
            on_step(done, len(places))
    return dict(sorted(scores.items()))


def _show(
    scores: Mapping[int, LinkScore],
    rows: Sequence[ListedRow],
    top: int,
    *,
    is_written: bool,
    as_json: bool,
) -> None:
    """Print why links have no score and, without JSON, the genres: predicted or probable ones."""
    shown = list(scores.items())[: _MAX_SHOWN if is_written else None]
    for place, score in shown:
        if score.outcome is not Outcome.OK:
            name = score.url if len(rows) == 1 else f"row {rows[place].number} {score.url}".strip()
            reason = f"{score.outcome}: {score.detail}"
            print_line(f"error: no score for {name}: {reason}", err=True)
    if as_json:
        return
    if len(rows) == 1:
        for score in scores.values():
            for line in _lines(score, top):
                print_line(line)
    else:
        _print_table({place: score for place, score in shown if score.genres}, rows, top)
    if len(scores) > len(shown):
        print_line(f"... and {len(scores) - len(shown)} more", err=True)
    for note in dict.fromkeys(note for score in scores.values() for note in score.notes):
        print_line(f"note: {note}", err=True)


def _lines(score: LinkScore, top: int) -> Iterator[str]:
    for rank, genre in enumerate(score.genres, start=1):
        if rank <= top or genre.is_predicted:
            is_predicted = "yes" if genre.is_predicted else "no"
            yield (
                f"{rank}. {genre.genre:<16} {genre.probability:.3f}  {is_predicted:<3} "
                f"(threshold {genre.threshold:.3f})"
            )


def _print_table(scores: Mapping[int, LinkScore], rows: Sequence[ListedRow], top: int) -> None:
    from rich.table import Table

    table = Table("row", "trailer", "predicted", "most probable")
    for place, score in scores.items():
        row = rows[place]
        predicted = ", ".join(each.genre for each in score.genres if each.is_predicted)
        probable = ", ".join(f"{g.genre} {g.probability:.2f}" for g in score.genres[:top])
        table.add_row(str(row.number), row.title or score.url, predicted, probable)
    if scores:
        open_console(stderr=False).print(table)
