from __future__ import annotations

import os
from pathlib import Path

import pytest

from trailergenre.base.config import Config, LimitsConfig
from trailergenre.base.sandbox.protections import protections
from trailergenre.cli.doctor import child_checks
from trailergenre.cli.doctor.examine import Verdict, examine
from trailergenre.frames.ffmpeg import ffmpeg_version, find_ffmpeg


def program(path: Path, script: str) -> Path:
    """Write a program of the shell."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_ffmpeg_decodes_in_the_sandbox() -> None:
    finding = child_checks.check_ffmpeg(Config())
    assert finding.verdict is Verdict.OK
    assert "decoded 2 frames" in finding.found


def test_ffmpeg_that_lacks_what_trailers_are_made_of_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves_out = "\"$FFMPEG\" \"$@\" | sed -e '/ hevc /d' -e '/libdav1d/d'"
    lacking = program(tmp_path / "ffmpeg", leaves_out)
    monkeypatch.setenv("FFMPEG", find_ffmpeg())
    monkeypatch.setattr(child_checks, "find_ffmpeg", lambda: str(lacking))
    finding = child_checks.check_ffmpeg(Config())
    assert finding.verdict is Verdict.WARNING
    assert "no decoder for H.265, AV1;" in finding.found


def test_ffmpeg_that_cannot_encode_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = program(tmp_path / "ffmpeg", "echo 'no lavfi here' >&2; exit 1")
    monkeypatch.setattr(child_checks, "find_ffmpeg", lambda: str(broken))
    finding = child_checks.check_ffmpeg(Config())
    assert (finding.verdict, "no lavfi here" in finding.found) == (Verdict.FAILED, True)
    assert "Install a complete ffmpeg" in finding.advice


def _forget_ffmpeg() -> None:
    """Each process looks for it once."""
    find_ffmpeg.cache_clear()
    ffmpeg_version.cache_clear()


@pytest.mark.parametrize("script", ["exit 1", None], ids=["ends with 1", "is no program"])
def test_ffmpeg_that_does_not_run_says_what_to_do(
    script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = program(tmp_path / "ffmpeg", script or "")
    if script is None:
        broken.write_bytes(b"\x7fELF of another machine")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    _forget_ffmpeg()
    ((_, finding),) = examine(Config(), {"ffmpeg": child_checks.check_ffmpeg})
    _forget_ffmpeg()
    assert finding.verdict is Verdict.FAILED
    assert finding.found.startswith("ffmpeg cannot be run: ")
    assert str(broken) in finding.found


def test_ffmpeg_that_breaks_its_limits_fails() -> None:
    config = Config(limits=LimitsConfig(max_pixels=64))
    finding = child_checks.check_ffmpeg(config)
    assert finding.verdict is Verdict.FAILED
    assert "cannot decode in the sandbox" in finding.found
    assert "section limits" in finding.advice


def test_deno_runs_a_script_in_the_sandbox() -> None:
    finding = child_checks.check_javascript(Config())
    assert finding.verdict is Verdict.OK, finding
    assert "deno 2" in finding.found


def test_deno_that_runs_no_script_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_checks, "_OPTIONS", ("--no-such-option",))
    finding = child_checks.check_javascript(Config())
    assert finding.verdict is Verdict.FAILED
    assert "--no-such-option" in finding.found


def test_a_script_that_needs_more_than_the_limits_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory is looked at every so often: a script that ends at once may end unseen.
    monkeypatch.setattr(child_checks, "_SCRIPT", "while (true) {}")
    config = Config(limits=LimitsConfig(max_memory_bytes=1_000_000))
    finding = child_checks.check_javascript(config)
    assert (finding.verdict, "exited with -9" in finding.found) == (Verdict.FAILED, True)
    assert "no answer within" not in finding.found


def test_a_script_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_checks, "_DEADLINE_S", 1.0)
    monkeypatch.setattr(child_checks, "_SCRIPT", "while (true) {}")
    finding = child_checks.check_javascript(Config())
    assert (finding.verdict, "no answer within 1 s" in finding.found) == (Verdict.FAILED, True)


def test_what_the_sandbox_lacks_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_checks, "missing_protections", lambda: "net=no pdeathsig=no")
    finding = child_checks.check_sandbox(Config())
    assert (finding.verdict, finding.found) == (Verdict.WARNING, "net=no pdeathsig=no")
    assert "user namespaces" in finding.advice
    assert "only Linux can prevent that" in finding.advice


def test_a_whole_sandbox_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_checks, "missing_protections", lambda: "")
    assert child_checks.check_sandbox(Config()).verdict is Verdict.OK


def test_there_is_advice_for_every_protection() -> None:
    assert set(child_checks._PROTECTIONS) == set(protections())
