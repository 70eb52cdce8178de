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

import trailergenre as tg
from shared import shared_demo
from submits import REPOSITORY
from trailergenre.base.outcomes import RowOutcome
from trailergenre.features.backbone import read_manifest

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
NAMES = [
    "01_list",
    "02_frames_and_features",
    "03_map_and_model",
    "04_mongodb",
    "05_scores",
]
PAGES = REPOSITORY / "docs" / "notebooks"
ALLOWED = {
    *("matplotlib", "numpy", "pandas", "sklearn", "trailergenre", "pymongo", "secantus"),
    *("imageio_ffmpeg", "os", "pathlib", "subprocess"),
}


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
def test_notebook_defines_nothing_and_uses_the_public_names_alone(path: Path) -> None:
    trees = [node for cell in code_cells(path) for node in ast.walk(ast.parse(cell.source))]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [node for node in trees if isinstance(node, definitions)] == []
    modules = {each.name for node in trees if isinstance(node, ast.Import) for each in node.names}
    modules |= {str(node.module) for node in trees if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.startswith("trailergenre")} == {"trailergenre"}
    assert {name.split(".")[0] for name in modules} <= ALLOWED
    used = {
        node.attr
        for node in trees
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "tg"
    }
    assert used
    assert used <= set(tg.__all__)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_the_page_on_the_site_has_the_notebook_s_code_text_and_pictures(path: Path) -> None:
    page = (PAGES / f"{path.stem}.md").read_text()
    place = 0
    for cell in read(path).cells:
        text = (
            cell.source.replace(".ipynb)", ".md)")
            if cell.cell_type == "markdown"
            else (f"```python\n{cell.source}\n```")
        )
        place = page.find(text, place)
        assert place >= 0, f"run: python notebooks/render.py; {cell.id} differs"
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert pictures
    assert {PAGES / name for name in pictures} == set(PAGES.glob(f"{path.stem}-*.png"))


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
    """Runs a notebook beside a copy of the demo's run; an error or a warning in a cell fails.

    It uses the network where the demo found it.
    """
    demo = shared_demo(tmp_path_factory).out
    # A copy: the server's data are for one server at a time, and a page is written.
    shutil.copytree(demo, tmp_path / "demo-run", ignore=shutil.ignore_patterns("backbone"))
    (tmp_path / "demo-run" / "backbone").symlink_to(demo / "backbone")
    import matplotlib.font_manager  # noqa: F401 - a notebook would tell of making its cache

    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("TRAILERGENRE_MONGO_URI", raising=False)
    # Jupyter's own files go nowhere near the user's.
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def run(name: str) -> Shown:
        place = {"metadata": {"path": tmp_path / "notebooks"}}
        notebook = read(REPOSITORY / "notebooks" / f"{name}.ipynb")
        executed = NotebookClient(notebook, timeout=300, resources=place).execute()
        warnings = [
            output.text
            for cell in executed.cells
            for output in cell.get("outputs", [])
            if output.get("name") == "stderr"
        ]
        assert warnings == []
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
def test_01_every_row_has_its_outcome_and_genres_are_counted(
    execute: Callable[[str], Shown],
) -> None:
    shown = execute("01_list")
    assert shown["sum"] == "60 rows in the list, 60 in the table"
    assert re.findall(rf" ({'|'.join(RowOutcome)}) ", shown["not-ready"]) == [
        *("link_empty", "link_invalid", "scheme_refused"),
        *("host_denied", "not_a_single_video", "duplicate"),
    ]
    assert "not_media" in shown["failures"]
    assert "Horror 0 0 14 4" in shown["together"]
    assert {name for name, text in shown.items() if "image/png" in text} == {
        *("rows", "outcomes", "matrix"),
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_02_frames_made_by_hand_are_those_of_the_run(execute: Callable[[str], Shown]) -> None:
    shown = execute("02_frames_and_features")
    assert shown["decode"] == "((24, 299, 299, 3), dtype('uint8'))"
    assert shown["embed"].startswith("((24, 2048), dtype('float32'), ")
    assert shown["cuts"] == "cuts at 1.00 s, 2.00 s"
    assert shown["stored"] == "((3, 2048), array([0., 1., 2.]), True)"
    assert shown["failure"].startswith("partial: ")
    assert {name for name, text in shown.items() if "image/png" in text} == {
        *("picture", "distances", "heatmap"),
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_03_a_model_of_one_s_own_is_better_than_guessing(
    execute: Callable[[str], Shown],
) -> None:
    shown = execute("03_map_and_model")
    assert shown["pooled"] == "(48, 6144)"
    assert shown["model"] == "(48, 4)"
    mean_ap, guessed = map(float, re.findall(r"\d\.\d+", shown["mean-ap"]))
    assert guessed < 0.3 < 0.5 < mean_ap
    assert re.search(r"Horror 0\.[5-9]", shown["own"])
    assert {name for name, text in shown.items() if "image/png" in text} == {
        *("map-picture", "precision", "reliability"),
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_04_mongo_holds_what_the_table_holds(execute: Callable[[str], Shown]) -> None:
    shown = execute("04_mongodb")
    assert "frames 144" in shown["collections"]
    assert "frames_trailers 48" in shown["collections"]
    assert shown["vector"].startswith("(2048, [")
    assert shown["original"] == "(['_id', 'frame_id', '0', '1'], 2050)"
    assert shown["equal"] == "((3, 2048), True)"
    near = re.findall(r" ([a-z-]+-\d\d) \S+ (-?[01]\.\d+)", shown["near"])
    values = [float(value) for _, value in near]
    assert (len(near), near[0][0], values[0]) == (6, "horror-sci-fi-00", 1)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1
    assert "image/png" in shown["similar-picture"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_05_clips_are_scored_and_a_cut_one_is_told(
    execute: Callable[[str], Shown], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = execute("05_scores")
    assert "cut partial" in shown["score"]
    assert "horror-00 ok Horror 3" in shown["score"]
    assert len(re.findall(r"[01]\.\d+", shown["table"])) == 4 * 4
    network = read_manifest(shared_demo(tmp_path_factory).out / "backbone")
    assert ("weights are random" in shown["warnings"]) is network.is_random
    starts = re.findall(r" (\d+\.0)(?: [01]\.\d+){4}", shown["timeline"])
    assert [float(start) for start in starts] == [*range(10)]
    assert {name for name, text in shown.items() if "image/png" in text} == {
        *("bars", "timeline-picture"),
    }
