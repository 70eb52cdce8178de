"""Export of weights to an artefact: `trailergenre backbone export`."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from trailergenre.base.errors import WeightsError
from trailergenre.base.native_logs import hold_native_logs, quiet_keras
from trailergenre.base.onnx_session import open_session
from trailergenre.base.progress import OnStep
from trailergenre.base.records import FrameArray
from trailergenre.base.storage import hash_file
from trailergenre.base.versions import check_minimum_versions
from trailergenre.features.backbone.artefact import (
    ONNX_FILE,
    WEIGHTS_FILE,
    BackboneManifest,
    new_artefact,
    write_manifest,
    write_weights,
)
from trailergenre.features.backbone.catalogue import DEFAULT, NETWORKS
from trailergenre.features.backbone.spec import NetworkSpec, compute_backbone_id, hash_weights

MAX_DEVIATION = 1e-4
"""Of engines from each other, relative to a frame's largest feature: float32 sums in any order."""

_PACKAGES = ("keras", "tf2onnx", "numpy", "onnxruntime")
"""Packages whose versions the manifest records."""


def export_backbone(
    weights: str,
    out: Path,
    *,
    network: str = DEFAULT,
    seed: int = 7,
    representative: Sequence[FrameArray] | None = None,
    on_step: OnStep = lambda done, total, label="": None,
) -> BackboneManifest:
    """Write an artefact.

    Args:
        weights: `imagenet` (Keras downloads them), `random`, or a file; see `weight_files`.
        out: directory to write; an artefact there is replaced, anything else a ForeignFileError.
        network: a name of `catalogue.NETWORKS`.
        seed: of random weights.
        representative: one array of frames per video, shape (n, height, width, 3), uint8, RGB,
            to write an int8 network; None to write fp32.
        on_step: counts frames.
    """
    check_minimum_versions("keras", "onnx")
    with new_artefact(out) as unfinished:
        try:
            with hold_native_logs():
                from trailergenre.features.backbone import networks

                model = networks.build_network(network)
        except ImportError as error:
            raise WeightsError(
                "Exporting a backbone needs Keras: pip install 'trailergenre[tensorflow]'."
            ) from error
        source, license_ = _set_weights(model, weights, seed)
        arrays, spec = model.get_weights(), NETWORKS[network].spec
        with quiet_keras():
            exported = networks.for_onnx(model)
            # Keras exports a model only after a call.
            exported(np.zeros((1, *spec.input.shape), np.uint8))
            with collect_often():
                exported.export(str(unfinished / ONNX_FILE), format="onnx", verbose=False)
            _check_parity(model, unfinished / ONNX_FILE, spec)
        write_weights(unfinished / WEIGHTS_FILE, arrays)
        calibration = None
        if representative is not None:
            from trailergenre.features.backbone.int8 import quantize_network

            calibration = quantize_network(
                unfinished / ONNX_FILE, representative, weights=source, on_step=on_step
            )
        manifest = BackboneManifest(
            network=spec.network,
            input=spec.input,
            preprocessing=spec.preprocessing,
            output=spec.output,
            backbone_id=compute_backbone_id(spec, hash_weights(arrays)),
            source=source,
            license=license_,
            precision="fp32" if representative is None else "int8",
            calibration=calibration,
            files={file: hash_file(unfinished / file) for file in (ONNX_FILE, WEIGHTS_FILE)},
            versions={package: version(package) for package in _PACKAGES},
        )
        write_manifest(unfinished, manifest)
    return manifest


@contextmanager
def collect_often() -> Iterator[None]:
    """Collect reference cycles sooner, and none that were there before.

    Keras's converter leaves copies of all weights in cycles: gigabytes, in objects too few for
    Python to look.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.collect()  # tells Python that few objects are left to look at
    gc.set_threshold(before[0], 3, 3)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        gc.collect()


def _check_parity(
    model: Any,  # noqa: ANN401 - Keras has no type stubs
    path: Path,
    spec: NetworkSpec,
) -> None:
    """Compare the ONNX file with Keras on frames of noise.

    The converter writes a file even where it lacks an operation.
    """
    frames = np.random.default_rng(0).integers(0, 256, (2, *spec.input.shape), np.uint8)
    expected = np.asarray(model(frames, training=False))
    try:
        session = open_session(path.read_bytes(), threads=os.cpu_count() or 1)
    except ValueError as error:
        raise WeightsError(f"{model.name} cannot be exported to ONNX: {error}") from error
    received = session.run(None, {session.get_inputs()[0].name: frames})[0]
    deviation = float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())
    if not deviation <= MAX_DEVIATION:
        raise WeightsError(
            f"The exported {model.name} differs from Keras's by {deviation:.1e} of a frame's "
            f"largest feature; at most {MAX_DEVIATION:g} is allowed. Use another version of Keras, "
            "TensorFlow or tf2onnx."
        )


def _set_weights(
    model: Any,  # noqa: ANN401 - Keras has no type stubs
    weights: str,
    seed: int,
) -> tuple[str, str]:
    """Set the weights and return their origin and licence."""
    if weights == "random":
        from trailergenre.features.backbone.networks import random_weights

        random_weights(model, seed, NETWORKS[model.name].random_gain)
        return f"random(seed={seed})", "none: random numbers"
    if weights == "imagenet":
        _set_imagenet(model)
        return "imagenet", NETWORKS[model.name].license
    from trailergenre.features.backbone.weight_files import set_weights

    set_weights(model, Path(weights).expanduser())
    return Path(weights).name, "unknown"


def _set_imagenet(model: Any) -> None:  # noqa: ANN401 - Keras has no type stubs
    entry = NETWORKS[model.name]
    if not entry.has_imagenet:
        raise WeightsError(
            f"{model.name} has no ImageNet weights that Keras downloads. Give --weights a file, or "
            "random."
        )
    from trailergenre.features.backbone.networks import build_body

    try:
        # Keras raises a bare Exception if the download fails.
        with quiet_keras():
            body = build_body(entry, "imagenet")
    except Exception as error:
        raise WeightsError(
            f"The ImageNet weights cannot be downloaded ({error}). Give --weights the path of a "
            "copy, or --weights random for tests and the demo (its scores mean nothing)."
        ) from error
    # The last layer is Keras's network; the layers before it are our preprocessing.
    model.layers[-1].set_weights(body.get_weights())
