from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient
from rich.console import Console

from trailergenre.demo import _Demo, _mongo_server
from trailergenre.errors import ExitCode, RunError


def test_deferred_links_do_not_stop_the_demo_and_a_failure_does(tmp_path: Path) -> None:
    demo = _Demo(tmp_path, Console())
    incomplete = [sys.executable, "-c", "raise SystemExit(4)"]
    demo.run("featurize", incomplete, accepted=(ExitCode.FINISHED, ExitCode.INCOMPLETE))
    with pytest.raises(RunError, match=re.escape("featurize ended with 4")):
        demo.run("featurize", incomplete)


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
