"""Bytes of an ONNX network to a session that runs it, on the CPU and without any other file.

Knows nothing of what networks are for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

_EXTERNAL_WEIGHTS = "session.model_external_initializers_file_folder_path"
_FATAL = 4
_REFUSALS = (
    refusals.Fail,
    refusals.InvalidArgument,
    refusals.InvalidGraph,
    refusals.InvalidProtobuf,
    refusals.NoModel,
    refusals.NoSuchFile,
    refusals.NotImplemented,
    refusals.RuntimeException,
)
"""ONNX Runtime's exceptions have no common class but Exception."""

# ONNX Runtime has no type stubs.
Session = Any
End = tuple[str, str, list[int | str | None]]
"""Name, type and shape of an input or output; a length that may differ from call to call is a
name."""


def open_session(content: bytes, *, threads: int) -> Session:
    """Load a network.

    Args:
        content: the ONNX file.
        threads: that one call may use.

    Raises:
        ValueError: it is none, needs another file, or cannot be run here; says why.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A network may name files to take weights from; below this, none can be.
    options.add_session_config_entry(_EXTERNAL_WEIGHTS, f"{os.devnull}/none")
    options.log_severity_level = _FATAL  # what goes wrong is raised, and told once
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise ValueError(str(error)) from error


def run_session(session: Session, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Give a network's first output.

    Raises:
        ValueError: it cannot be run on these inputs; says why.
    """
    try:
        output: NDArray[np.float32] = session.run(None, inputs)[0]
    except _REFUSALS as error:
        raise ValueError(str(error)) from error
    return output


def session_ends(session: Session) -> tuple[list[End], list[End]]:
    """Inputs and outputs of a network, in order."""
    inputs, outputs = (
        [(end.name, end.type, end.shape) for end in ends]
        for ends in (session.get_inputs(), session.get_outputs())
    )
    return inputs, outputs
