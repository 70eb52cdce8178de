"""Notebooks as a newcomer runs them: on what the demo left, in a kernel of their own."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from shared import shared_demo
from submits import REPOSITORY
from trailergenre.base.outcomes import RowOutcome
from trailergenre.features.backbone import read_manifest

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
NAMES = [
    "01_links",
    "02_frames_and_features",
    "03_train_and_compare",
    "04_explore_in_mongo",
    "05_score_one_link",
]


Shown = dict[str, str]
"""Cell id -> the text of what it shows, spaces folded; a picture shows its MIME type."""


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_notebooks_are_found() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_committed_without_outputs_and_valid(path: Path) -> None:
    nbformat.validate(read(path))
    kept = [cell.id for cell in code_cells(path) if cell.outputs or cell.execution_count]
    assert kept == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_defines_nothing_and_imports_the_package(path: Path) -> None:
    trees = [node for cell in code_cells(path) for node in ast.walk(ast.parse(cell.source))]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [node for node in trees if isinstance(node, definitions)] == []
    imports = [node for node in trees if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if str(node.module).startswith("trailergenre")]
    assert ours
    exec(compile(ast.Module(ours, []), path.name, "exec"), {})  # all names exist


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_starts_with_text_and_links_to_the_next(path: Path) -> None:
    cells = read(path).cells
    assert cells[0].cell_type == cells[-1].cell_type == "markdown"
    linked = re.findall(r"\]\(([^)]+\.ipynb)\)", cells[-1].source)
    assert linked == [following.name for following in NOTEBOOKS[NOTEBOOKS.index(path) + 1 :][:1]]


@pytest.fixture
def execute(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Shown]:
    """Runs a notebook beside a copy of the demo's run; an error in a cell is raised here."""
    demo = shared_demo(tmp_path_factory).out
    # A copy: the server's data are for one server at a time, and a page is written.
    shutil.copytree(demo, tmp_path / "demo-run", ignore=shutil.ignore_patterns("backbone"))
    (tmp_path / ".cache").symlink_to(REPOSITORY / ".cache")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("TRAILERGENRE_MONGO_URI", raising=False)
    # Jupyter's own files go nowhere near the user's.
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def run(name: str) -> Shown:
        place = {"metadata": {"path": tmp_path / "notebooks"}}
        notebook = read(REPOSITORY / "notebooks" / f"{name}.ipynb")
        executed = NotebookClient(notebook, timeout=300, resources=place).execute()
        return {cell.id: text_of(cell) for cell in executed.cells if cell.cell_type == "code"}

    return run


def text_of(cell: NotebookNode) -> str:
    """What a cell shows."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        shown += [output.get("text", ""), data.get("text/plain", "")]
        shown += [kind for kind in data if kind.startswith("image/")]
        shown += [
            data.get("text/markdown", ""),
            "iframe" * ("<iframe" in data.get("text/html", "")),
        ]
    return " ".join(" ".join(shown).split())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_01_every_row_has_its_outcome_and_shifted_labels_are_refused(
    execute: Callable[[str], Shown],
) -> None:
    shown = execute("01_links")
    outcomes = "|".join(RowOutcome)
    assert re.findall(rf" ({outcomes}) ", shown["spellings"]) == [
        *("ready", "duplicate", "duplicate", "duplicate"),
        *("not_a_single_video", "host_denied", "scheme_refused", "link_empty"),
    ]
    # A wide table's last column stands below the others in its text.
    assert "ready 54 " in shown["row-outcomes"]
    assert "ready passed on to the download " in shown["row-outcomes"]
    assert shown["sum"] == "60 rows in the list, 60 in the table"
    assert shown["shift"].startswith("The labels do not agree with the metadata: 3 of 3 movies")
    assert "Horror 14" in shown["genres"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_02_frames_made_by_hand_are_those_of_the_run(execute: Callable[[str], Shown]) -> None:
    shown = execute("02_frames_and_features")
    assert shown["decode"] == "((3, 299, 299, 3), dtype('uint8'))"
    assert "image/png" in shown["picture"]
    assert shown["embed"].startswith("((3, 2048), dtype('float32'), '")
    assert float(shown["colour"]) > 0.001  # ten times what two engines may differ by
    assert "ok 48 144 " in shown["outcomes"]
    assert "not_media" in shown["failures"]
    assert shown["equal"] == "True"
    assert shown["pooled"] == "(1, 6144)"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_03_models_stand_beside_the_prior_and_each_other(
    execute: Callable[[str], Shown],
) -> None:
    shown = execute("03_train_and_compare")
    assert re.match(r"train validation test links (\d+) (\d+) (\d+) ", shown["split"])
    assert "logistic on" in shown["fit"]
    assert re.search(r"mAP [01]\.\d+ [01]\.\d+ [01]\.\d+", shown["finish"])
    assert shown["beats"] == "beats the prior model True control False"
    assert re.match(r"mAP \d\.\d{3} \(regression\) against \d\.\d{3} \(forest\)", shown["compare"])
    assert "# Model card" in shown["card"]
    assert "iframe" in shown["page"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_04_mongo_holds_what_the_table_holds(execute: Callable[[str], Shown]) -> None:
    shown = execute("04_explore_in_mongo")
    assert "frames 144" in shown["collections"]
    assert "frames_trailers 48" in shown["collections"]
    assert shown["vector"].startswith("(2048, [")
    assert shown["original"] == "(['_id', 'frame_id', '0', '1'], 2050)"
    assert shown["meta"] == "True"
    near = re.findall(r" ([a-z-]+-\d\d) ([01]\.\d+)", shown["near"])
    values = [float(value) for _, value in near]
    assert (len(near), near[0][0], values[0]) == (6, "horror-sci-fi-00", 1)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1
    assert shown["equal"] == "(144, 144, True)"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_05_a_link_is_scored_and_a_cut_one_is_told(
    execute: Callable[[str], Shown], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = execute("05_score_one_link")
    assert len(re.findall(r"(?:Action|Comedy|Horror|Sci-Fi) [01]\.\d+", shown["score"])) == 3
    assert "share in training threshold given" in shown["beside"]
    network = read_manifest(shared_demo(tmp_path_factory).out / "backbone")
    assert ("weights are random" in shown["notes"]) is network.is_random
    assert "iframe" in shown["page"]
    assert shown["timeline"].count("0.") > 3
    assert shown["bad"].startswith("partial: ")
