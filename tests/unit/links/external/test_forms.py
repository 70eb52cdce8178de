"""Forms of external features: their files, labels and splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from reproduce.made import GENRES, make_movies, write_trailers12k

from trailergenre.base.errors import ConfigError
from trailergenre.links.external.features import external_settings
from trailergenre.links.external.forms import open_external
from trailergenre.links.external.labels import read_label_table
from trailergenre.links.labelled_links import Part

HEADER = ",".join(["mid", *GENRES, "split0", "split1", "split2"])
NO = ",0" * len(GENRES)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_labels_are_columns_of_genres_and_parts(tmp_path: Path) -> None:
    yes = ",1" + ",0" * 8 + ",1"
    path = write(tmp_path / "mtgc.csv", HEADER, f"tt0000007{yes},0,1,2", f"tt0000008{NO},2,0,")
    labels = read_label_table(path, "mid", "split2")
    first, second = labels.rows
    assert (first.name, first.movie_id, first.genres) == (
        "tt0000007",
        "tt0000007",
        ("Action", "Thriller"),
    )
    assert (first.part, second.part, second.genres) == (Part.TEST, None, ())
    default = read_label_table(path, "mid", None)
    assert [row.part for row in default.rows] == [Part.TRAIN, Part.TEST]
    assert default.notes[0] == (
        "the parts are those of 'split0'. --splits names others: 'split1', 'split2'."
    )


def test_labels_of_a_table_have_genres_in_one_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.csv", "id,title,genres,fold", "a/1,Up,Drama|SciFi,valid", "b,,,train"
    )
    first, second = read_label_table(path, "id", "fold").rows
    assert (first.name, first.title, first.genres) == ("a/1", "Up", ("Drama", "Sci-Fi"))
    assert (first.part, second.part) == (Part.VALIDATION, Part.TRAIN)
    assert [row.part for row in read_label_table(path, "id", None).rows] == [None, None]


@pytest.mark.parametrize(
    ("lines", "split", "reason"),
    [
        (["id,genres,split", "a,Drama,3"], None, "line 2: '3' is no part of a split"),
        (["id,genres", "a,Drama"], "split9", "no column 'split9'.*Give one of them as --splits"),
        (["name,genres", "a,Drama"], None, "no column 'id'"),
        (["id,title", "a,Up"], None, "has no genres"),
    ],
)
def test_labels_that_do_not_fit_are_named(
    lines: list[str], split: str | None, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_label_table(write(tmp_path / "l.csv", *lines), "id", split)


def test_a_network_of_trailers12k_is_named_where_there_are_several(tmp_path: Path) -> None:
    movies = make_movies(3)
    resnet = write_trailers12k(tmp_path, movies)
    assert open_external("trailers12k", tmp_path).arrays.paths == (resnet,)
    swin = write_trailers12k(tmp_path, movies, network="trailers_i_swin_fpc24", is_zip=True)
    with pytest.raises(ConfigError, match=r"trailers_i_resnet_fpc24.zarr, trailers_i_swin_fpc24"):
        open_external("trailers12k", tmp_path)
    both = [open_external("trailers12k", path) for path in (resnet, swin)]
    assert [data.labels for data in both] == [tmp_path / "mtgc.csv"] * 2
    settings = [external_settings(data, 16) for data in both]
    assert settings[0].backbone_id == "published:trailers12k/trailers_i_resnet_fpc24"
    assert settings[0].fingerprint != settings[1].fingerprint


def test_a_table_is_known_by_the_content_of_its_features(tmp_path: Path) -> None:
    ids = []
    for content in ("one", "one", "two"):
        directory = tmp_path / str(len(ids)) / "mine"
        write(directory / "labels.csv", "id,genres")
        write(directory / "f.npz", content)
        ids.append(open_external("table", directory).network)
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("mine/")


@pytest.mark.parametrize(
    ("form", "files", "reason"),
    [
        ("trailers15k", ["train.zip", "test.zip"], "has no valid.zip or valid.zarr or valid"),
        ("trailers12k", ["mtgc.csv"], "must hold one network's"),
        ("trailers12k", ["trailers_i_swin_fpc24.zarr/.zgroup"], "has no mtgc.csv"),
        ("table", ["a.npz", "b.parquet", "l.csv"], "must hold one .parquet or .npz file"),
        ("mulan", ["x"], "has the forms trailers12k, trailers15k, table. Received: 'mulan'"),
        ("table", [], "There is no file or directory"),
    ],
)
def test_files_that_are_missing_are_named(
    form: str, files: list[str], reason: str, tmp_path: Path
) -> None:
    for name in files:
        write(tmp_path / "set" / name)
    with pytest.raises(ConfigError, match=reason):
        open_external(form, tmp_path / "set")
