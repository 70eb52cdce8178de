"""How far each engine's features are from those of Keras alone: prints JSON.

python -m speed.parity FRAMES.npy BACKBONE
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from trailergenre.base.config import BackboneConfig
from trailergenre.features.backbone import load_embedder
from trailergenre.features.backbone.artefact import read_weights


def main(frames: Path, backbone: Path) -> None:
    """Also of two mistakes: channels in the other order, and pixels without scaling."""
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    network.set_weights(read_weights((backbone / "weights.safetensors").read_bytes()))
    pixels = np.load(frames)
    scaled = keras.applications.inception_v3.preprocess_input(pixels.astype(np.float32))
    expected = network.predict(scaled, batch_size=8, verbose=0)
    found = {}
    for engine in ("onnxruntime", "openvino", "tensorflow"):
        config = BackboneConfig.model_validate({"path": str(backbone), "engine": engine})
        embedder = load_embedder(config)
        found[engine] = _deviate(embedder.embed(pixels), expected)
        if engine == "onnxruntime":
            swapped = embedder.embed(np.ascontiguousarray(pixels[..., ::-1]))
            bgr = _deviate(swapped, expected)
    unscaled = network.predict(pixels.astype(np.float32), batch_size=8, verbose=0)
    print(json.dumps(found | {"BGR": bgr, "unscaled": _deviate(unscaled, expected)}))


def _deviate(received: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference of a frame, relative to that frame's largest feature."""
    return float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
