"""What all runs that are hit share: clips over HTTP, and a place for scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from killed import clip_server
from servers import AnswerServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswerServer]:
    """The clips, over HTTP."""
    with clip_server(tmp_path_factory.mktemp("clips"), n_clips=5) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the drivers have their scratch, and where verify looks for it."""
    directory = tmp_path_factory.mktemp("temporary")
    with patch.object(tempfile, "tempdir", str(directory)):
        yield directory
