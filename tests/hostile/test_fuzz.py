from __future__ import annotations

import pytest

import fuzz
from trailergenre.base.outcomes import Outcome


@pytest.mark.slow
def test_500_mutations_end_in_classes_of_their_own() -> None:
    # Number 678 forged the line of an ffmpeg that is too old, while texts could.
    summary = fuzz.fuzz(500, seed=20, first=500)
    assert summary.problems == []
    assert summary.outcomes.total() == 500
    assert set(summary.outcomes) <= set(Outcome) - {Outcome.INTERNAL}
    assert summary.outcomes[Outcome.OK] < 400
