from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bundles import make_bundle, make_manifest
from lists import as_links
from trailergenre.base.errors import ConfigError, ItemError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import GenreScore
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle
from trailergenre.models.score_files import (
    ListedRow,
    Record,
    ScoreTable,
    check_out,
    write_records,
)
from trailergenre.models.score_link import LinkScore, failed_score

ROWS = [
    ListedRow(1, "http://films.test/a", "A", {"year": "1999", "Drama": "1"}),
    ListedRow(2, "http://films.test/b", "B", {"year": "2000", "Drama": "0"}),
]
LINKS = as_links([row.url for row in ROWS])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(Store(str(tmp_path_factory.mktemp("bundle"))), manifest=make_manifest())


def score_of(place: int, bundle: Bundle) -> LinkScore:
    genres = [
        GenreScore(genre, 0.75 - k / 10, 0.6, 0.75 - k / 10 >= 0.6)
        for k, genre in enumerate(bundle.manifest.genres)
    ]
    link = LINKS[place]
    return LinkScore(link.url, link.link_id, Outcome.OK, "", genres, 5, {}, [])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_stopped_table_is_completed_and_scores_are_kept(
    suffix: str, bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / f"scores{suffix}"
    table = ScoreTable(ROWS, bundle, out)
    assert not table.take_finished(0, LINKS[0])
    table.add(1, score_of(1, bundle))
    table.save()
    again = ScoreTable(ROWS, bundle, out)
    assert [again.take_finished(place, LINKS[place]) for place in (0, 1)] == [False, True]
    again.add(0, score_of(0, bundle))
    again.save()
    whole = ScoreTable(ROWS, bundle, out)
    assert [whole.take_finished(place, LINKS[place]) for place in (0, 1)] == [True, True]
    assert [str(record["title"]) for record in whole.records] == ["A", "B"]
    assert not whole.take_finished(0, LINKS[1])


def test_the_table_has_the_lists_own_columns_and_every_genre(
    bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    table = ScoreTable(ROWS, bundle, out)
    table.add(1, failed_score(LINKS[1], ItemError(Outcome.DNS, "no such host")))
    table.add(0, score_of(0, bundle))
    table.save()
    first, second = read(out)
    best, *others = bundle.manifest.genres
    expected = {"row": "1", "title": "A", "year": "1999", "list_Drama": "1", "outcome": "ok"}
    expected |= {"predicted": f"{best}|{others[0]}", f"{others[-1]}_predicted": "no"}
    expected |= {best: "0.75", f"{best}_threshold": "0.6", f"{best}_predicted": "yes"}
    assert {name: first[name] for name in expected} == expected
    assert (second["outcome"], second["detail"], second[best]) == ("dns", "no such host", "")


def test_failed_rows_are_tried_again(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    table = ScoreTable(ROWS, bundle, out)
    table.add(0, failed_score(LINKS[0], ItemError(Outcome.TIMEOUT, "late")))
    table.save()
    assert not ScoreTable(ROWS, bundle, out).take_finished(0, LINKS[0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.csv", b"url,title\nx,y\n", "is not a table of scores"),
        ("empty.csv", b"", "is not a table of scores"),
        ("mine.jsonl", b"[1]\n", "a line is not a JSON object"),
        ("mine.jsonl", b"{\n", "cannot be completed"),
        ("mine.parquet", b"PAR1", "cannot be completed"),
        ("mine.csv", b"\xff\xfe\x00", "cannot be completed"),
    ],
)
def test_a_foreign_file_is_refused_and_stays(
    name: str, content: bytes, message: str, bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / name
    out.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        ScoreTable(ROWS, bundle, out)
    assert out.read_bytes() == content


def test_scores_of_another_model_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    table = ScoreTable(ROWS, bundle, out)
    table.add(0, score_of(0, bundle))
    table.save()
    assert pq.read_table(out)["model"].to_pylist() == [bundle.sha256[:12]]
    manifest = make_manifest().model_copy(update={"thresholds": (0.1,) * 4})
    other = make_bundle(Store(str(tmp_path / "other")), manifest=manifest)
    with pytest.raises(ConfigError, match="scores of another model"):
        ScoreTable(ROWS, other, out)


@pytest.mark.parametrize(
    ("name", "message"),
    [("scores.xlsx", r"must end in \.csv"), ("no/such/scores.csv", "does not exist")],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_out(tmp_path / name)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_pieces_with_other_columns_and_types_are_one_table(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"table{suffix}"
    first: list[Record] = [{"row": 1, "share": None}, {"row": 2, "share": 1}]
    second: list[Record] = [{"row": 3, "share": 0.5, "year": "1999"}]
    assert write_records(out, lambda: [first, second]) == 3
    if suffix == ".parquet":
        found = pq.read_table(out).to_pylist()
    elif suffix == ".jsonl":
        found = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        assert out.read_text() == "row,share,year\n1,,\n2,1,\n3,0.5,1999\n"
        return
    assert [list(row.values()) for row in found] == [
        [1, None, None],
        [2, 1, None],
        [3, 0.5, "1999"],
    ]


def test_a_table_that_stops_halfway_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    out.write_text("old\n")
    n_calls = 0

    def pieces() -> Iterator[list[Record]]:
        nonlocal n_calls
        n_calls += 1
        yield [{"row": 1}]
        if n_calls == 2:
            raise OSError("No space left on device")

    with pytest.raises(StorageError, match="No space"):
        write_records(out, pieces)
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert out.read_text() == "old\n"
