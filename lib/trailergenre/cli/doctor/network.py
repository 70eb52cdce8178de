"""What turns frames into features: the artefact, the engine, the GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, WeightsError, one_line
from trailergenre.base.records import FRAME_SIDE_PX
from trailergenre.cli.doctor.finding import Finding, Verdict, installed_version
from trailergenre.features.backbone import check_backbone, load_embedder

_SMI = "nvidia-smi"
_SMI_S = 30.0
"""It takes seconds where the driver is not kept loaded."""


def check_weights(config: Config) -> Finding:
    """Read the artefact as a worker would: checksums, and the network loaded."""
    try:
        manifest = check_backbone(config.backbone)
    except WeightsError as error:
        has_keras = installed_version("tensorflow") is not None
        needed = "" if has_keras else "Exporting needs: pip install 'trailergenre[tensorflow]'"
        return Finding(Verdict.FAILED, error.problem, f"{error.remedy} {needed}".strip())
    path = Path(config.backbone.path).expanduser()
    found = f"{manifest.network} of {manifest.weights}, {manifest.precision} ({path})"
    if manifest.is_random:
        return Finding(
            Verdict.WARNING,
            f"{found}; with random weights scores mean nothing",
            f"trailergenre backbone export --weights imagenet --out {path}",
        )
    return Finding(Verdict.OK, found)


def check_engine(config: Config) -> Finding:
    """Load the engine that the configuration names; TensorFlow is looked up only."""
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    found = f"onnxruntime {onnxruntime.__version__} ({providers})"
    if config.backbone.engine == "tensorflow":
        return Finding(Verdict.OK, f"tensorflow {installed_version('tensorflow')}, and {found}")
    return Finding(Verdict.OK, found)


def check_gpu(config: Config) -> Finding:
    """Look for GPUs; where the configuration wants one, load the network on it."""
    gpus = _list_gpus()
    if config.backbone.device == "cpu":
        return Finding(Verdict.NOT_USED, f"{gpus or 'none'}; backbone.device = cpu")
    try:
        embedder = load_embedder(config.backbone)
        embedder.embed(np.zeros((1, FRAME_SIDE_PX, FRAME_SIDE_PX, 3), np.uint8))
    except (ConfigError, WeightsError) as error:
        return Finding(Verdict.FAILED, f"{gpus or 'none found'}: {error.problem}", error.remedy)
    return Finding(Verdict.OK, f"{gpus}: {embedder.engine} {embedder.version} embeds")


def _list_gpus() -> str:
    """What the driver says: name, memory and driver of each GPU; empty where there is none."""
    program = shutil.which(_SMI)
    if program is None:
        return ""
    query = "--query-gpu=index,name,memory.total,driver_version"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SMI_S,
        )
    except subprocess.TimeoutExpired:
        return f"{_SMI} does not answer"
    lines = "; ".join(answer.stdout.splitlines())
    return lines if answer.returncode == 0 else f"{_SMI}: {one_line(lines or answer.stderr)}"
