"""docs/results.md: it lists every column of every table, and its programs give current rows."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pymongo import MongoClient

import trailergenre as tg
from mongos import destination_at, publish
from results import run_program, write_run
from submits import REPOSITORY
from trailergenre.base.storage import Store
from trailergenre.runs.schemas import TABLES

PAGE = (REPOSITORY / "docs" / "results.md").read_text()


def type_of(field: pa.Field) -> str:
    names = re.sub(r"<(?:item|element): (\w+)( not null)?>", r"<\1>", str(field.type))
    return f"`{names}`" + ", null" * field.nullable


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_listed_with_its_type_and_meaning(name: str) -> None:
    section = PAGE.split(f"\n### `{name}`\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    assert [row[:2] for row in rows] == [(field.name, type_of(field)) for field in TABLES[name]]
    assert PAGE.count("\n### ") == len(TABLES)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tg.Run:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "mine")
    return tg.open_run("runs/mine")


def test_the_python_api(run: tg.Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_program("Python")
    n_horror = sum("Horror" in genres for genres in run.labels()["genres"])
    assert names["pooled"].shape == (5, 6144)
    assert capsys.readouterr().out.endswith(f"({n_horror}, 6144)\n")


def test_pandas_and_arrow(run: tg.Run) -> None:
    names = run_program("pandas and PyArrow")
    assert names["links"]["year"].tolist() == ["1999"] * 6
    assert names["wide"].shape == (5, 2)
    assert names["sure"]["genre"].unique().tolist() == ["Horror"]


def test_duckdb_gives_the_rows_of_the_python_api(run: tg.Run) -> None:
    names = run_program("DuckDB")
    duckdb = names["duckdb"]
    outcomes = run.outcomes()
    counts = names["counts"].set_index("outcome")["links"].to_dict()
    assert counts == Counter(outcomes["outcome"]) == {"ok": 5, "not_media": 1}
    columns = "link_id, frame_index, features"
    frames = duckdb.sql(f"SELECT {columns} FROM features ORDER BY ALL").fetchall()
    assert [(link_id, tuple(x)) for link_id, _, x in frames] == [
        (link_id, tuple(row)) for link_id, x in sorted(run.iter_features()) for row in x.tolist()
    ]
    of_genres = [g for genres in run.labels()["genres"].iloc[:5] for g in genres]
    frames_of_genres = {genre: 4 * n for genre, n in Counter(of_genres).items()}
    assert dict(names["per_genre"].itertuples(index=False)) == frames_of_genres
    # What the page warns of: the files hold more than the table.
    files = f"runs/mine/features/{run.fingerprint}/*.parquet"
    assert duckdb.sql(f"SELECT * FROM '{files}'").shape[0] > len(frames)


def test_pandas_alone_gives_the_rows_of_the_python_api(run: tg.Run) -> None:
    found = run_program("Features without this package", "import pandas")["features"]
    received = {link_id: list(frames["features"]) for link_id, frames in found.groupby("link_id")}
    expected = dict(run.iter_features())
    assert received.keys() == expected.keys()
    for link_id, features in expected.items():
        np.testing.assert_array_equal(np.stack(received[link_id]), features)


def test_mongodb_has_the_mean_of_each_trailer(
    mongo_uri: str, run: tg.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = destination_at(mongo_uri, "trailergenre")
    with MongoClient(mongo_uri) as client:
        client.drop_database("trailergenre")
    publish(destination, Store("runs/mine"), run.fingerprint)
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", mongo_uri)
    run_program("MongoDB")
    n_horror = sum("Horror" in genres for genres in run.labels()["genres"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[-2:] for line in lines] == [["4", "(2048,)"]] * n_horror
