"""Runs ONNX networks from bytes, without access to any other file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from trailergenre.base.errors import ConfigError, one_line
from trailergenre.base.versions import check_minimum_versions

_PACKAGES = ("onnxruntime", "onnxruntime-gpu")  # one of them
_EXTERNAL_WEIGHTS = "session.model_external_initializers_file_folder_path"
_FATAL = 4
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# Out-of-memory errors have no class of their own: texts of bfc_arena.cc and CUDA's error 2
_NO_MEMORY = re.compile("Failed to allocate memory|is smaller than requested bytes|out of memory")
_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
"""ONNX Runtime's exceptions; they have no common base class but Exception."""

# ONNX Runtime has no type stubs.
Session = Any
End = tuple[str, str, list[int | str | None]]
"""Name, type and shape of an input or output; a variable dimension has a name."""


def open_session(content: bytes, *, threads: int) -> Session:
    """Load an ONNX file, to run with `threads` threads per call; a ValueError if it cannot."""
    check_minimum_versions(*_PACKAGES)
    try:
        return onnxruntime.InferenceSession(content, _options(threads), providers=[_CPU])
    except _ERRORS as error:
        raise ValueError(str(error)) from error


def open_gpu_session(content: bytes, *, device_id: int) -> Session:
    """Load an ONNX file on one GPU, no part of it on the CPU; a ConfigError if it cannot."""
    check_minimum_versions(*_PACKAGES)
    if _CUDA not in onnxruntime.get_available_providers():
        raise ConfigError(
            "backbone.device = gpu, but this ONNX Runtime has no CUDA.",
            "Install onnxruntime-gpu in place of onnxruntime, or set backbone.engine = tensorflow "
            "or backbone.device = cpu.",
        )
    # CUDA's libraries may be pip packages, where no loader looks.
    onnxruntime.preload_dlls()
    options = _options(threads=1)
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # TF32 keeps 10 of float32's 23 bits, which would change the features.
    cuda = {"device_id": str(device_id), "use_tf32": "0"}
    unusable = (
        f"ONNX Runtime cannot use GPU {device_id}. Check the driver, the versions of CUDA and "
        "cuDNN, and CUDA_VISIBLE_DEVICES. It said"
    )
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=[(_CUDA, cuda)], enable_fallback=0
        )
    except (*_ERRORS, RuntimeError) as error:
        raise ConfigError(f"{unusable}: {error}") from error
    # If CUDA's libraries do not load, ONNX Runtime only logs that, and uses the CPU.
    actual = session.get_provider_options().get(_CUDA, {}).get("device_id")
    if actual != str(device_id):
        providers = ", ".join(session.get_providers())
        raise ConfigError(f"{unusable}: the session runs on {providers}")
    return session


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A network may name files with weights; none can exist below this path.
    options.add_session_config_entry(_EXTERNAL_WEIGHTS, f"{os.devnull}/none")
    options.log_severity_level = _FATAL  # errors are raised
    return options


def run_session(session: Session, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run a network and return its first output; a `ValueError` says why it refuses the inputs."""
    try:
        output: NDArray[np.float32] = session.run(None, inputs)[0]
    except _ERRORS as error:
        raise ValueError(str(error)) from error
    return output


def run_bound(session: Session, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run a network by I/O binding, whose copies overlap with calls of other threads.

    A MemoryError says how much the device lacks.
    """
    try:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(session.get_outputs()[0].name, "cpu")
        session.run_with_iobinding(binding)
    except (*_ERRORS, RuntimeError) as error:
        if _NO_MEMORY.search(str(error)):
            raise MemoryError(one_line(str(error))) from error
        raise
    output: NDArray[np.float32] = binding.copy_outputs_to_cpu()[0]
    return output


def session_ends(session: Session) -> tuple[list[End], list[End]]:
    """List the inputs and outputs of a network."""
    inputs = [(end.name, end.type, end.shape) for end in session.get_inputs()]
    return inputs, [(end.name, end.type, end.shape) for end in session.get_outputs()]
