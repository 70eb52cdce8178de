"""Genres come from the metadata; labels that do not agree with it are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trailergenre.base.errors import AlignmentError, ConfigError
from trailergenre.links.metadata import (
    LabelRow,
    Metadata,
    Movie,
    check_alignment,
    read_labels,
    read_metadata,
    replace_genres,
)

HEADER = "movie_title,genres,movie_imdb_link\n"


def imdb(movie_id: str) -> str:
    return f"http://www.imdb.com/title/{movie_id}/?ref_=fn_tt_tt_1"


def movies(n: int) -> Metadata:
    return Metadata.of(Movie(f"tt{i:07}", f"movie {i}", ("Drama",)) for i in range(n))


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_metadata_are_found_by_id_and_by_clean_title(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.csv",
        HEADER
        + f"The Host\u00a0,Action|Sci-Fi,{imdb('tt1517260')}\n"
        + f" The Host,Drama|Comedy|Drama,{imdb('tt0468492')}\n"
        + f"The Host\u00a0,Sci-Fi|Action,{imdb('tt1517260')}\n"  # repeated, same genres
        + "No id,Drama,\n",
    )
    metadata = read_metadata(path)
    comedy = Movie("tt0468492", "The Host", ("Comedy", "Drama"))
    action = Movie("tt1517260", "The Host", ("Action", "Sci-Fi"))
    assert set(metadata.find("", "The Host")) == {comedy, action}
    assert metadata.find("tt0468492", "another title") == (comedy,)
    assert metadata.find("tt9999999", "The Host") == ()
    assert metadata.find("", "No id") == ()


def test_metadata_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    rows = f"A,Drama,{imdb('tt0000001')}\nA,Comedy,{imdb('tt0000001')}\n"
    with pytest.raises(ConfigError, match=r"tt0000001: Drama and Comedy"):
        read_metadata(write(tmp_path / "m.csv", HEADER + rows))


def test_metadata_without_a_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no column 'movie_id'.*'movie_title', 'genres'"):
        read_metadata(write(tmp_path / "m.csv", "movie_title,genres\nA,Drama\n"))


def test_a_matrix_and_a_list_of_genres_say_the_same(tmp_path: Path) -> None:
    matrix = write(tmp_path / "a.csv", ",movie_title,Drama,Action\n0,A\u00a0,1,1\n1,B,0,0.0\n")
    listed = write(tmp_path / "b.csv", "title,genres\nA,Drama|Action\nB,\n")
    expected = [LabelRow("", "A", ("Action", "Drama")), LabelRow("", "B", ())]
    assert read_labels(matrix) == read_labels(listed) == expected
    by_id = write(tmp_path / "c.csv", "movie_id,Drama\ntt0000001,1\n")
    assert read_labels(by_id) == [LabelRow("tt0000001", "", ("Drama",))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("link,genres\nA,Drama\n", "no column movie_id or title.*link, genres.*Add one"),
        ("title,Drama,War\nA,maybe,1\n", "line 2: the column 'Drama'.*not 0 and 1.*'maybe'"),
        ("title\nA\n", "no column 'genres'.*Add the genres"),
        ('title,genres\nA,"[18, 28]"\n', "line 2: '18' is not the name of a genre"),
        ('movie_id,genres\n"tt1, tt2",Drama\n', "line 2: .*several IMDb ids"),
    ],
)
def test_other_label_tables_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_labels(write(tmp_path / "x.csv", content))


@pytest.mark.parametrize(("wrong", "is_refused"), [(0, False), (1, False), (2, True)])
def test_at_most_half_a_percent_of_the_movies_may_disagree(wrong: int, is_refused: bool) -> None:
    metadata = movies(200)
    labels = [
        LabelRow("", movie.title, ("Horror",) if i < wrong else movie.genres)
        for i, movie in enumerate(metadata.by_id.values())
    ]
    if is_refused:
        message = r"2 of 200 movies \(1\.0%\).*'movie 0' has Horror, the metadata say Drama"
        with pytest.raises(AlignmentError, match=message):
            check_alignment(labels, metadata)
    else:
        assert check_alignment(labels, metadata) == 200


def test_a_movie_counts_once_and_is_wrong_if_one_of_its_rows_is() -> None:
    rows = [LabelRow("", "movie 0", genres) for genres in (("Horror",), ("Drama",), ("Drama",))]
    with pytest.raises(AlignmentError, match="1 of 1 movies"):
        check_alignment(rows, movies(1))


def test_rows_of_unknown_or_ambiguous_movies_are_not_compared() -> None:
    metadata = Metadata.of(
        [Movie("tt1", "A", ("Drama",)), Movie("tt2", "A", ("War",)), Movie("tt3", "B", ("War",))]
    )
    rows = [LabelRow("", "A", ("Drama",)), LabelRow("", "Z", ()), LabelRow("", "B", ("War",))]
    assert check_alignment(rows, metadata) == 1
    with pytest.raises(AlignmentError, match="None of the labels"):
        check_alignment(rows[:2], metadata)


def test_given_labels_replace_the_genres_and_only_them() -> None:
    path = Path("labels.csv")
    labels = [LabelRow("", "movie 0", ("War",)), LabelRow("tt0000001", "", ("Drama",))]
    relabelled = replace_genres(movies(3), labels, path=path)
    assert [m.genres for m in relabelled.by_id.values()] == [("War",), ("Drama",), ()]
    assert relabelled.find("", "movie 0")[0].movie_id == "tt0000000"
    contradiction = [*labels, LabelRow("", "movie 0", ("Drama",))]
    with pytest.raises(ConfigError, match=r"labels\.csv has different genres for tt0000000"):
        replace_genres(movies(3), contradiction, path=path)


def test_the_original_genre_matrix_is_refused(data_dir: Path) -> None:
    metadata = read_metadata(data_dir / "imdb5000" / "movie_metadata.csv")
    matrix = read_labels(data_dir / "imdb5000" / "movie_genre_matrix.csv")
    with pytest.raises(AlignmentError, match=r"3862 of 3930 movies \(98\.3%\).*'John Carter'"):
        check_alignment(matrix, metadata)


def test_a_matrix_made_of_the_metadata_passes(data_dir: Path, tmp_path: Path) -> None:
    metadata = read_metadata(data_dir / "imdb5000" / "movie_metadata.csv")
    genres = sorted({genre for movie in metadata.by_id.values() for genre in movie.genres})
    lines = [",".join(["movie_id", *genres])]
    for movie in metadata.by_id.values():
        lines.append(",".join([movie.movie_id, *(str(int(g in movie.genres)) for g in genres)]))
    matrix = read_labels(write(tmp_path / "matrix.csv", "\n".join(lines) + "\n"))
    assert check_alignment(matrix, metadata) == 4919
    assert replace_genres(metadata, matrix, path=Path("matrix.csv")).by_id == metadata.by_id


@pytest.mark.parametrize("cell", ["0499549", "499549.0", "tt0499549", "imdb.com/title/tt0499549"])
def test_metadata_and_labels_know_every_spelling_of_an_id(tmp_path: Path, cell: str) -> None:
    path = write(
        tmp_path / "m.tsv", f"tconst\tprimaryTitle\tgenres\n{cell}\tAvatar\tAction,SciFi\n"
    )
    metadata = read_metadata(path)
    labels = read_labels(write(tmp_path / "l.csv", f"imdb_id,genres\n{cell},Sci-Fi/action\n"))
    assert metadata.by_id["tt0499549"].genres == ("Action", "Sci-Fi")
    assert check_alignment(labels, metadata) == 1


def test_a_title_is_found_in_another_spelling_and_by_its_year() -> None:
    movies = [
        Movie("tt1", "The Mummy", ("Horror",), "1932"),
        Movie("tt2", "The Mummy", ("Action",), "1999"),
        Movie("tt3", "WALL\u00b7E", ("Animation",), "2008"),
        Movie("tt4", "Fame", ("Drama",), "1980"),
        Movie("tt5", "FAME", ("Drama",), "2009"),
    ]
    find = Metadata.of(movies).find
    found = {
        title: [movie.movie_id for movie in find("", title, year)]
        for title, year in (
            ("Mummy, The (1999)", ""),
            ("The Mummy", "1932"),
            ("the mummy", ""),
            ("The Mummy (2017)", ""),
            ("Wall-E", ""),
            ("FAME", ""),
        )
    }
    assert found == {
        "Mummy, The (1999)": ["tt2"],
        "The Mummy": ["tt1"],
        "the mummy": ["tt1", "tt2"],
        "The Mummy (2017)": [],
        "Wall-E": ["tt3"],
        "FAME": ["tt5"],
    }


def test_movies_without_an_id_are_told(tmp_path: Path) -> None:
    notes: list[str] = []
    read_metadata(write(tmp_path / "m.csv", f"{HEADER}A,Drama,{imdb('tt1')}\nB,War,\n"), notes)
    assert "note: m.csv: 1 rows have no IMDb id and are not used." in notes
