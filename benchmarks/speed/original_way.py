"""The original project's way, faithfully: PNG files, one Keras `predict` a frame; frames/s.

python -m speed.original_way CLIP BACKBONE
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow

from trailergenre.features.backbone.artefact import read_weights
from trailergenre.frames.ffmpeg import find_ffmpeg


def main(clip: Path, backbone: Path) -> None:
    """Loading the network is not counted; everything after it is."""
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    network.set_weights(read_weights((backbone / "weights.safetensors").read_bytes()))
    network.predict(np.zeros((1, 299, 299, 3)), verbose=0)
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        command = [find_ffmpeg(), "-v", "error", "-i", str(clip), "-vf", "fps=1,scale=299:299"]
        subprocess.run([*command, f"{name}/%05d.png"], check=True)
        pictures = sorted(Path(name).glob("*.png"))
        for picture in pictures:
            frame = tensorflow.io.decode_png(tensorflow.io.read_file(str(picture)), channels=3)
            network.predict(frame.numpy()[None].astype(np.float32), verbose=0)
        print(len(pictures) / (time.monotonic() - started))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
