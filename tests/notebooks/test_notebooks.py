"""Notebooks as a newcomer runs them: on a small run, in a kernel of their own."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import nbformat
import pyarrow as pa
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from bundles import make_bundle, make_manifest
from runs import Movie, link_id, make_movies, make_run
from trailergenre import schemas, tables
from trailergenre.storage import Store

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))

Shown = dict[str, str]
"""Cell id -> the text of what it shows."""


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_notebooks_are_found() -> None:
    assert [path.name for path in NOTEBOOKS] == ["01_demo_tables.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_committed_without_outputs_and_valid(path: Path) -> None:
    nbformat.validate(read(path))
    kept = [cell.id for cell in code_cells(path) if cell.outputs or cell.execution_count]
    assert kept == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_defines_no_function_and_imports_the_package(path: Path) -> None:
    trees = [node for cell in code_cells(path) for node in ast.walk(ast.parse(cell.source))]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [node for node in trees if isinstance(node, definitions)] == []
    modules = [str(node.module) for node in trees if isinstance(node, ast.ImportFrom)]
    assert any(module.startswith("trailergenre") for module in modules)


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Shown]:
    """Runs a notebook on a made run; an error in a cell is raised here."""
    store, movies = Store(str(tmp_path / "run")), make_movies(6, frames=5)
    make_run(store, [*movies[:5], Movie(movies[5].link, None)])
    _add_rows_that_are_not_ready(store)
    parts = {f"movie-{n}": "test" if n == 0 else "train" for n in range(5)}
    manifest = make_manifest(weights="random(seed=7)")
    make_bundle(Store(str(tmp_path / "bundle")), parts=parts, manifest=manifest)
    monkeypatch.setenv("TRAILERGENRE_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("TRAILERGENRE_BUNDLE", str(tmp_path / "bundle"))
    # Jupyter's own files go nowhere near the user's.
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def run(path: Path) -> Shown:
        client = NotebookClient(read(path), timeout=120, resources={"metadata": {"path": tmp_path}})
        executed = client.execute()
        return {cell.id: text_of(cell) for cell in executed.cells if cell.cell_type == "code"}

    return run


def _add_rows_that_are_not_ready(store: Store) -> None:
    rows = tables.read_table(store, "links").to_pylist()
    for number in range(3):
        more = {"row_outcome": "link_empty", "link_id": None, "url": "", "detail": "no text"}
        rows.append({**rows[0], "row_id": link_id(f"empty-{number}"), **more})
    tables.write_table(store, "links", pa.Table.from_pylist(rows, schema=schemas.LINKS))


def text_of(cell: NotebookNode) -> str:
    """What a cell shows, spaces folded."""
    shown = [output.data["text/plain"] for output in cell.outputs if "data" in output]
    return " ".join(" ".join(shown).split())


def test_demo_tables_show_the_runs_own_figures(execute: Callable[[Path], Shown]) -> None:
    shown = execute(NOTEBOOKS[0])
    assert "ready 6 goes on" in shown["row-outcomes"]
    assert "link_empty 3 the cell is empty" in shown["row-outcomes"]
    assert shown["not-ready"].count("no text") == 3
    assert "ok 5 25" in shown["outcomes"]
    assert "not_media 1 0" in shown["outcomes"]
    assert shown["matrix"] == "(5, 2048)"
    assert shown["pooled"] == "(1, 6144)"
    assert "same network as the run True" in shown["manifest"]
    assert "test 1 1 train 4 4" in shown["split"]
    assert shown["scores"].split("links ", 1)[1].startswith("Horror 0.4 0.1 Drama 0.3 0.2")
    assert "[Horror, Drama, Comedy]" in shown["known"]
    assert "weights are random" in shown["warnings"]
