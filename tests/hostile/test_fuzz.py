from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz
from trailergenre.base.outcomes import Outcome


def test_a_mutation_is_known_by_its_seed_and_number() -> None:
    assert fuzz.mutate(3, 7) == fuzz.mutate(3, 7)
    assert fuzz.mutate(3, 7) != fuzz.mutate(4, 7)
    good = set(fuzz.seeds().values())
    mutations = [fuzz.mutate(1, number) for number in range(60)]
    assert {suffix for suffix, _ in mutations} == set(fuzz.SEEDS)
    assert sum(content in good for _, content in mutations) < 6


@pytest.mark.parametrize("operation", fuzz.OPERATIONS, ids=lambda operation: operation.__name__)
def test_every_operation_takes_any_file(operation: object) -> None:
    for size in (1, 3, 100, 5000):
        for number in range(20):
            content = bytearray(random.Random(number).randbytes(size))
            operation(content, random.Random(number))  # type: ignore[operator]
            assert len(content) <= size + max(map(len, fuzz.seeds().values())) + 5000


def test_an_error_of_ours_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("ours")

    monkeypatch.setattr("trailergenre.frames.decoder.read_log", fail)
    summary = fuzz.fuzz(2, seed=1)
    assert sorted(summary.problems) == ["0: ValueError: ours", "1: ValueError: ours"]


@pytest.mark.slow
def test_500_mutations_end_in_classes_of_their_own() -> None:
    summary = fuzz.fuzz(500, seed=20)
    assert summary.problems == []
    assert summary.outcomes.total() == 500
    assert set(summary.outcomes) <= set(Outcome) - {Outcome.INTERNAL}
    assert summary.outcomes[Outcome.OK] < 300


def test_the_command_ends_with_a_summary(repository: Path) -> None:
    run = subprocess.run(
        [sys.executable, "tests/fuzz.py", "--mutations", "3", "--seed", "5", "--first", "10"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    summary = json.loads(run.stdout)
    assert (summary["mutations"], summary["seed"], summary["problems"]) == (3, 5, [])
