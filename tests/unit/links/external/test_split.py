"""Given splits in MovieNet's format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trailergenre.base.errors import ConfigError, LeakError
from trailergenre.links.external.split import read_split
from trailergenre.links.labelled_links import Part


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def split(tmp_path: Path, content: object) -> Path:
    return write(tmp_path / "splits.json", json.dumps(content))


def test_a_split_is_read_by_video_or_by_movie(tmp_path: Path) -> None:
    path = split(tmp_path, {"trn": ["a", "b"], "val": ["c"], "tst": ["d"]})
    assert read_split(path) == {
        "a": Part.TRAIN,
        "b": Part.TRAIN,
        "c": Part.VALIDATION,
        "d": Part.TEST,
    }
    movies = write(tmp_path / "m.csv", "imdb_id,youtube_id\ntt1,a\ntt1,b\ntt2,d\ntt3,not listed\n")
    assert read_split(path, movies) == {"tt0000001": Part.TRAIN, "tt0000002": Part.TEST}


def test_links_and_ids_are_known_in_every_spelling(tmp_path: Path) -> None:
    path = split(tmp_path, {"trn": ["https://youtu.be/eUTtt14G31c"], "val": [], "tst": ["b"]})
    assert read_split(path) == {"eUTtt14G31c": Part.TRAIN, "b": Part.TEST}
    page = "https://www.youtube.com/watch?v=eUTtt14G31c"
    movies = write(tmp_path / "m.csv", f"imdb_id,youtube_id\n0499549.0,{page}\n")
    assert read_split(path, movies) == {"tt0499549": Part.TRAIN}
    twice = write(tmp_path / "m.csv", f'imdb_id,youtube_id\n"tt1, tt2",{page}\n')
    with pytest.raises(ConfigError, match=r"line 2: .*several IMDb ids"):
        read_split(path, twice)


def test_rows_and_videos_without_an_id_name_nothing(tmp_path: Path) -> None:
    path = split(tmp_path, {"trn": ["a", "", None], "val": [" "], "tst": ["b"]})
    assert read_split(path) == {"a": Part.TRAIN, "b": Part.TEST}
    movies = write(tmp_path / "m.csv", "imdb_id,youtube_id\n,a\n ,b\ntt1,b\ntt2,\n")
    assert read_split(path, movies) == {"tt0000001": Part.TEST}


def test_a_video_or_a_movie_in_two_parts_is_refused(tmp_path: Path) -> None:
    twice = split(tmp_path, {"trn": ["a"], "val": [], "tst": ["a"]})
    with pytest.raises(LeakError, match="a is in two parts, train and test"):
        read_split(twice)
    path = split(tmp_path, {"trn": ["a"], "val": [], "tst": ["b"]})
    movies = write(tmp_path / "m.csv", "imdb_id,youtube_id\ntt1,a\ntt1,b\n")
    with pytest.raises(LeakError, match="tt0000001 is in two parts, train and test"):
        read_split(path, movies)


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ({"train": []}, "Received: train"),
        ({"trn": "abc", "val": [], "tst": []}, "Received: trn, val, tst"),
        ([], "Received: list"),
    ],
)
def test_a_split_of_another_form_is_refused(content: object, received: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=received):
        read_split(split(tmp_path, content))
    with pytest.raises(ConfigError, match="is not JSON"):
        read_split(write(tmp_path / "splits.json", "{"))


def test_a_split_of_lists_within_lists_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not JSON: maximum recursion"):
        read_split(write(tmp_path / "splits.json", "[" * 200_000))
