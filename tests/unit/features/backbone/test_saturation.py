"""8-bit weights are refused where an engine's sums of products would saturate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.features.backbone import read_manifest
from trailergenre.features.backbone.artefact import BackboneManifest, Quantization
from trailergenre.features.backbone.saturation import (
    PROBE,
    SHAPE,
    check_arithmetic,
    is_exact,
    run_onnxruntime,
)


def manifest_of(backbone: Path, weight_bits: int) -> BackboneManifest:
    facts = {"sha256": "", "n_frames": 16, "n_judged": 16, "cosine_p1": 1.0, "rms_share": 0.0}
    quantization = Quantization.model_validate(
        {**facts, "weight_bits": weight_bits, "fp32_convolutions": 0}
    )
    update = {"precision": "int8", "calibration": quantization}
    return read_manifest(backbone).model_copy(update=update)


def saturating(content: bytes, values: np.ndarray) -> np.ndarray:
    """As AVX2 adds: two products in 16 bits."""
    pairs = np.minimum(2 * values * 127, 32767)
    return pairs.sum(1, keepdims=True) / 2


def test_saturating_arithmetic_refuses_8_bit_weights_alone(tiny_backbone: Path) -> None:
    assert not is_exact(saturating)
    with pytest.raises(ConfigError, match="has no VNNI") as raised:
        check_arithmetic(manifest_of(tiny_backbone, 8), "ONNX Runtime", saturating)
    assert "7-bit weights" in str(raised.value)
    check_arithmetic(manifest_of(tiny_backbone, 7), "ONNX Runtime", saturating)
    check_arithmetic(read_manifest(tiny_backbone), "ONNX Runtime", saturating)


def test_this_processor_computes_the_probe_as_any_with_vnni_does() -> None:
    flags = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    known = {"avx512_vnni", "avx_vnni", "asimddp"} & set(flags.split())
    assert is_exact(run_onnxruntime) or not known


@pytest.mark.slow
def test_openvino_without_vnni_saturates_and_is_caught() -> None:
    program = """
from functools import partial
from trailergenre.features.backbone.openvino_engine import _run, import_openvino
from trailergenre.features.backbone.saturation import is_exact
print(is_exact(partial(_run, import_openvino())))
"""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_the_probe_is_one_quantized_convolution_of_largest_values() -> None:
    network = onnx.load_from_string(PROBE.read_bytes())
    assert [node.op_type for node in network.graph.node] == [
        "QuantizeLinear",
        "DequantizeLinear",
        "DequantizeLinear",
        "Conv",
        "QuantizeLinear",
        "DequantizeLinear",
    ]
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in network.graph.initializer}
    assert arrays["w"].dtype == np.int8
    assert np.unique(arrays["w"]).tolist() == [127]
    shape = network.graph.input[0].type.tensor_type.shape
    assert tuple(dim.dim_value for dim in shape.dim) == SHAPE
