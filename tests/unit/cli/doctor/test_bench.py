from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from trailergenre.cli.commands import app
from trailergenre.cli.doctor.bench import EngineSpeed, advise, choose_engine


def bench(tiny_backbone: Path, *options: str) -> Result:
    arguments = ["doctor", "--bench", "--set", f"backbone.path={tiny_backbone}"]
    return CliRunner().invoke(app, [*arguments, "--set", "backbone.batch_size=2", *options])


def speeds(**frames_per_s: float) -> list[EngineSpeed]:
    return [EngineSpeed(name, "1", speed) for name, speed in frames_per_s.items()]


@pytest.mark.parametrize(
    ("configured", "measured", "best"),
    [
        ("onnxruntime", {"onnxruntime": 20, "openvino": 30}, "openvino"),
        ("onnxruntime", {"onnxruntime": 20, "openvino": 21}, "onnxruntime"),
        ("openvino", {"onnxruntime": 30, "openvino": 20}, "onnxruntime"),
        ("tensorflow", {"onnxruntime": 20, "openvino": 30, "tensorflow": 0}, "openvino"),
    ],
    ids=["faster", "noise", "slower", "configured one does not run"],
)
def test_the_fastest_engine_is_named_unless_it_gains_nothing(
    configured: str, measured: dict[str, float], best: str
) -> None:
    assert choose_engine(speeds(**measured), configured) == best
    assert f'backbone.engine = "{best}"' in advise(speeds(**measured), configured)


def test_every_engine_that_runs_here_is_measured_and_any_other_has_its_reason(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    result = bench(tiny_backbone, "--json", "--set", "backbone.device=gpu")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    record = json.loads(result.stdout)
    engines = {each.pop("engine"): each for each in record["engines"]}
    assert list(engines) == ["onnxruntime", "openvino", "tensorflow"]
    assert (
        engines["onnxruntime"]["frames_per_core_s"] > 0 < engines["openvino"]["frames_per_core_s"]
    )
    assert engines["tensorflow"]["reason"] == "backbone.engine = tensorflow needs TensorFlow."
    assert record["best"] in {"onnxruntime", "openvino"}


def test_it_prints_a_line_for_each_engine_and_what_to_set(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing in ("openvino", "tensorflow"):
        monkeypatch.setitem(sys.modules, missing, None)
    result = bench(tiny_backbone)
    assert result.exit_code == 0, result.output
    head, first, *others, last = result.stdout.splitlines()
    assert head == f"tiny, fp32 ({tiny_backbone}), one thread:"
    assert first.startswith("onnxruntime ") and first.endswith(" frames/s of a core")
    assert [line.split()[:3] for line in others] == [
        ["openvino", "not", "run:"],
        ["tensorflow", "not", "run:"],
    ]
    assert last == 'Leave backbone.engine = "onnxruntime": no other is faster here.'
