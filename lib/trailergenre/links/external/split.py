"""A split that others published: the part of each video or movie, for comparable results."""

from __future__ import annotations

import json
from pathlib import Path

from trailergenre.base.errors import ConfigError, LeakError
from trailergenre.links.cells import clean_text
from trailergenre.links.imdb_ids import IdError, parse_movie_id
from trailergenre.links.labelled_links import Part
from trailergenre.links.table_files import check_json, read_bytes, read_table
from trailergenre.links.youtube import read_video_id

_PARTS = {"trn": Part.TRAIN, "val": Part.VALIDATION, "tst": Part.TEST}


def read_split(path: Path, movies: Path | None = None) -> dict[str, Part]:
    """Read a split in MovieNet's format: {"trn": [...], "val": [...], "tst": [...]}.

    Args:
        path: JSON, lists of YouTube video ids.
        movies: CSV that maps the `youtube_id` of each trailer to the `imdb_id` of its movie.

    Returns:
        Video id -> part; with `movies`, IMDb id -> part. Entries without an id are left out.

    Raises:
        ConfigError: a file has another format.
        LeakError: a video or a movie is in two parts.
    """
    by_video: dict[str, Part] = {}
    for word, video_ids in _read_lists(path).items():
        for video_id in video_ids:
            _set_part(by_video, read_video_id(clean_text(video_id)), _PARTS[word], path)
    if movies is None:
        return by_video
    table = read_table(movies)
    table.require("youtube_id", "imdb_id")
    columns = (table.column(name) or () for name in ("youtube_id", "imdb_id"))
    by_movie: dict[str, Part] = {}
    for place, video_id, movie_id in zip(table.places, *columns, strict=True):
        if part := by_video.get(read_video_id(clean_text(video_id))):
            try:
                _set_part(by_movie, parse_movie_id(movie_id), part, movies)
            except IdError as error:
                raise ConfigError(f"{movies}, {place}: {error}.") from error
    return by_movie


def _read_lists(path: Path) -> dict[str, list[object]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
        check_json(path, text)
        lists = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}.") from error
    is_split = isinstance(lists, dict) and set(lists) == set(_PARTS)
    if not is_split or not all(isinstance(video_ids, list) for video_ids in lists.values()):
        raise ConfigError(
            f"{path} must be an object of {', '.join(_PARTS)}, each a list of video ids. "
            f"Received: {', '.join(lists) if isinstance(lists, dict) else type(lists).__name__}."
        )
    return dict(lists)


def _set_part(parts: dict[str, Part], name: str, part: Part, path: Path) -> None:
    if name and parts.setdefault(name, part) is not part:
        raise LeakError(f"{path}: {name} is in two parts, {parts[name]} and {part}.")
