"""Every kind of file ends in its class, good ones with all their frames, and leaves nothing."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from hostile.decode_cases import CASES, DecodeCase
from independent import assert_same_pictures
from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import DETAIL_MAX_CHARS, ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import Decoder

HAS_ERRORS = ("damaged", "cut")
"""Good kinds of which some frames are damaged."""
IS_OURS = ("damaged", "jump by")
"""Good kinds that PyAV decodes in another way: concealed damage, and jumps that we close."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}-{case.name}")
def test_file_ends_in_its_class(
    case: DecodeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = case.make(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    video = Decoder(FORM, 1, LimitsConfig(max_frames=60)).decode(path, deadline=Deadline(60))
    batches, outcome, detail = [], Outcome.OK, ""
    others = psutil.Process().children()
    try:
        batches = list(video.batches(16))
    except ItemError as error:
        outcome, detail = error.outcome, error.detail
    assert outcome is case.outcome, detail
    assert len(detail) <= DETAIL_MAX_CHARS
    assert str(tmp_path) not in detail
    if case.outcome is Outcome.OK:
        frames = np.concatenate(batches)
        assert len(frames) == case.frames
        assert video.facts is not None
        if not any(word in case.name for word in IS_OURS):
            assert_same_pictures(frames, path)
        assert (video.facts.decode_errors > 0) == any(word in case.name for word in HAS_ERRORS)
    # Nothing is left: no file, no process, no thread that watches one.
    assert list(scratch.iterdir()) == []
    assert psutil.Process().children() == others
    assert not [thread for thread in threading.enumerate() if "watch" in thread.name]
