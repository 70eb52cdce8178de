from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient
from rich.console import Console

from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError, ExitCode, RunError
from trailergenre.cli.demo.run import _Demo, _export, _mongo_server, _write_config, run_demo


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a network of an earlier demo; the next one only looks at it."""

    def stop(*_: object) -> None:
        raise RunError("prepared")

    monkeypatch.setattr("trailergenre.cli.demo.run.check_java", lambda: None)
    monkeypatch.setattr("trailergenre.cli.demo.run._export", stop)
    (tmp_path / "demo-run" / "backbone").mkdir(parents=True)
    (tmp_path / "demo-run" / "backbone" / "network.onnx").touch()
    return tmp_path / "demo-run"


def test_an_earlier_network_is_taken_over(out: Path) -> None:
    with pytest.raises(RunError, match="prepared"):
        run_demo(None, out)
    assert [path.name for path in out.rglob("*")] == ["backbone", "network.onnx"]


@pytest.mark.parametrize(
    "name", ["thesis.txt", "run/links/table.parquet", "clips/mine.mp4", "config.toml", "mongo/a"]
)
def test_a_demo_replaces_and_deletes_nothing(name: str, out: Path) -> None:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    first = out / Path(name).parts[0]
    with pytest.raises(ConfigError, match=f"{first} exists, and the demo replaces nothing"):
        run_demo(None, out)
    assert (out / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("data", "reason"), [("trailers", "lies in --out"), (".", "lies in"), ("no", "not exist")]
)
def test_videos_that_cannot_be_taken_are_refused(data: str, reason: str, out: Path) -> None:
    (out / "trailers").mkdir()
    with pytest.raises(ConfigError, match=reason):
        run_demo(out / data, out)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_an_out_that_can_be_no_directory_is_refused(name: str, out: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--out must be a writable directory"):
        run_demo(None, tmp_path / name)


def test_deferred_links_do_not_stop_the_demo_and_a_failure_does(tmp_path: Path) -> None:
    demo = _Demo(tmp_path, Console())
    incomplete = [sys.executable, "-c", "raise SystemExit(4)"]
    demo.run(incomplete, accepted=(ExitCode.FINISHED, ExitCode.INCOMPLETE))
    with pytest.raises(RunError, match="exited with 4"):
        demo.run(incomplete)


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_server_of_the_users_the_demo_starts_its_own(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAILERGENRE_MONGO_URI", raising=False)
    if value is not None:
        monkeypatch.setenv("TRAILERGENRE_MONGO_URI", value)
    with _mongo_server(tmp_path / "mongo") as uri:
        assert uri
        with MongoClient[dict[str, object]](uri) as client:
            assert client.admin.command("ping")["ok"] == 1


def test_the_users_server_is_published_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", "mongodb://127.0.0.1:1")
    with _mongo_server(tmp_path / "mongo") as uri:
        assert uri == "mongodb://127.0.0.1:1"
    assert not (tmp_path / "mongo").exists()


def test_a_network_of_an_earlier_demo_is_told_to_be_random(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_backbone, tmp_path / "backbone")
    said = io.StringIO()
    _export(_Demo(tmp_path, Console(file=said, soft_wrap=True)))
    assert said.getvalue().startswith("note: The network's weights are random.")


def test_without_imagenet_weights_random_ones_are_exported_and_that_is_said(
    tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(demo: _Demo, name: str, *arguments: str, stderr: int | None = None) -> None:
        asked.append(arguments[-1])
        if arguments[-1] == "imagenet":
            raise RunError("no weights here")
        shutil.copytree(tiny_backbone, arguments[arguments.index("--out") + 1])

    asked: list[str] = []
    monkeypatch.setattr(_Demo, "command", export)
    said = io.StringIO()
    _export(_Demo(tmp_path, Console(file=said)))
    assert asked == ["imagenet", "random"]
    assert "no ImageNet weights here" in said.getvalue()


def test_a_demo_on_ones_own_list_keeps_the_pace_of_youtube(tmp_path: Path) -> None:
    demo = _Demo(tmp_path, Console())
    _write_config(demo, root=tmp_path)
    assert load_config([demo.config]).hosts["youtube.com"].seconds_between == 12
