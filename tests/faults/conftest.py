"""What all runs that are hit share: clips over HTTP, and where `verify` looks for scratch."""

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
def _scratch_is_looked_for_there(temporary: Path) -> Iterator[None]:
    """`verify` looks for scratch where the drivers have theirs."""
    with patch.object(tempfile, "tempdir", str(temporary)):
        yield
