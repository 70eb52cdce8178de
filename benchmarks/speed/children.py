"""Scripts of this package as processes of their own: one alone, or one a core side by side."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speed.machine import CORES

BENCHMARKS = Path(__file__).resolve().parents[1]


def run_alone(
    module: str, *arguments: object, python: str = sys.executable, env: Mapping[str, str] = {}
) -> Any:  # noqa: ANN401 - JSON
    """Run a module to its end; gives what its last line says, which is JSON."""
    done = subprocess.run(
        [python, "-m", module, *map(str, arguments)],
        cwd=BENCHMARKS,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_side_by_side(module: str, *arguments: object) -> list[Any]:
    """Run a process a core at the same time."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    processes = [
        subprocess.Popen(command, cwd=BENCHMARKS, stdout=subprocess.PIPE) for _ in range(CORES)
    ]
    outputs = [process.communicate()[0] for process in processes]
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def measure_bare(clip: Path, backbone: Path, engine: str = "onnxruntime") -> dict[str, float]:
    """Decode and inference alone, a process a core: CPU seconds a frame, and the bound by them.

    Returns:
        decode_cpu_s and embed_cpu_s a frame; frames_per_s: cores over their sum.
    """
    found = run_side_by_side("speed.bare", clip, backbone, 1, engine)
    decode_s = statistics.mean(figures["decode_cpu_s"] for figures in found)
    embed_s = statistics.mean(figures["embed_cpu_s"] for figures in found)
    return {
        "decode_cpu_s": decode_s,
        "embed_cpu_s": embed_s,
        "frames_per_s": CORES / (decode_s + embed_s),
        "embed_frames_per_s": CORES / embed_s,
    }
