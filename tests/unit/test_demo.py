from __future__ import annotations

from pathlib import Path

import pytest
from pymongo import MongoClient

from trailergenre.demo import _mongo_server


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
