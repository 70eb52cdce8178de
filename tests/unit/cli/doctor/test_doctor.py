from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError
from trailergenre.cli.commands import app
from trailergenre.cli.doctor.checks import CHECKS
from trailergenre.cli.doctor.examine import Finding, Verdict, examine, format_finding

FINE = Finding(Verdict.OK, "all of it")


def fine(config: Config) -> Finding:
    return FINE


def refused(config: Config) -> Finding:
    raise ConfigError("It is wrong.", "Do this.")


def missing_file(config: Config) -> Finding:
    return Finding(Verdict.OK, Path("/nowhere/at all").read_text())


def broken(config: Config) -> Finding:
    raise KeyError("mongodb://user:canary@host")


def test_what_breaks_hides_nothing_else() -> None:
    checks = {"a": broken, "b": refused, "c": missing_file, "d": fine}
    found = dict(examine(Config(), checks))
    assert list(found) == ["a", "b", "c", "d"]
    assert found["d"] == FINE
    assert found["b"] == Finding(Verdict.FAILED, "It is wrong.", "Do this.")
    assert "No such file or directory: '/nowhere/at all'" in found["c"].found
    assert found["a"].verdict is Verdict.FAILED
    assert found["a"].found.startswith("KeyError (test_doctor.py, line ")


def test_the_words_of_an_error_that_nobody_foresaw_are_not_told() -> None:
    _, finding = next(examine(Config(), {"a": broken}))
    assert "canary" not in f"{finding}"


def test_what_hangs_hides_nothing_and_keeps_nobody() -> None:
    code = (
        "import threading\n"
        "from trailergenre.base.config import Config\n"
        "from trailergenre.cli.doctor.examine import Finding, Verdict, examine\n"
        "hang = lambda config: threading.Event().wait()\n"
        "fine = lambda config: Finding(Verdict.OK, 'fine')\n"
        "checks = {'hangs': hang, 'works': fine}\n"
        "for name, finding in examine(Config(), checks, deadline_s=0.2):\n"
        "    print(name, finding.verdict, finding.found)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.splitlines() == [
        "hangs failed no answer within 0.2 s",
        "works ok fine",
    ]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_what_failed_fails(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {"a": fine, "b": lambda config: Finding(verdict, "x")}
    monkeypatch.setattr("trailergenre.cli.doctor.checks.CHECKS", checks)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == (2 if verdict is Verdict.FAILED else 0)


def test_a_finding_is_a_line_and_its_advice_another() -> None:
    shown = format_finding("java", Finding(Verdict.NOT_USED, "none", "Install it."))
    assert shown == [
        "not used  java        none",
        "                      -> Install it.",
    ]


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_this_machine_is_well(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAILERGENRE_MONGO_URI", raising=False)
    result = doctor("--json", "--set", f"backbone.path={tiny_backbone}")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    (line,) = result.stdout.splitlines()
    record = json.loads(line)
    assert record["is_well"]
    checks = {check.pop("name"): check for check in record["checks"]}
    assert list(checks) == list(CHECKS)
    assert all(set(check) == {"verdict", "found", "advice"} for check in checks.values())
    verdicts = {name: check["verdict"] for name, check in checks.items()}
    for name in ("packages", "java", "tensorflow", "ffmpeg", "javascript", "engine"):
        assert verdicts[name] == "ok", checks[name]
    assert (verdicts["mongodb"], verdicts["gpu"]) == ("not used", "not used")
    # Random ones.
    assert verdicts["weights"] == "warning"
    assert "backbone export --weights imagenet" in checks["weights"]["advice"]


def test_a_machine_that_lacks_something_ends_with_2_and_says_the_rest(tmp_path: Path) -> None:
    result = doctor("--set", f"backbone.path={tmp_path}/none")
    assert result.exit_code == 2
    lines = {line[10:22].strip(): line[:10].strip() for line in result.stdout.splitlines()}
    assert lines["weights"] == "failed"
    assert lines["ffmpeg"] == "ok"
    assert set(CHECKS) <= set(lines)
    assert len(re.findall("-> .*trailergenre backbone export", result.stdout)) == 1


def test_a_broken_configuration_is_refused_before_anything_is_tried() -> None:
    result = doctor("--json", "--set", "limits.nothing=1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")


def test_it_loads_nothing_that_a_base_install_lacks(tiny_backbone: Path) -> None:
    heavy = {"pyspark", "tensorflow", "keras", "pandas", "sklearn", "pymongo"}
    code = (
        "import sys\n"
        "from trailergenre.base.config_files import load_config\n"
        "from trailergenre.cli.doctor.checks import CHECKS\n"
        "from trailergenre.cli.doctor.examine import examine\n"
        f"config = load_config((), ['backbone.path={tiny_backbone}'])\n"
        "found = dict(examine(config, CHECKS))\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
