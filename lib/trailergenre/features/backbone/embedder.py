"""The protocol behind which engines stand, and what they all check."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from trailergenre.base.records import FRAME_SIDE_PX, N_FEATURES, FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import BackboneManifest


class Embedder(Protocol):
    """A loaded network.

    Attributes:
        manifest: of the artefact it was loaded from.
        engine: `onnxruntime` or `tensorflow`.
        device: `cpu` or `gpu`.
        version: of the engine.
    """

    manifest: BackboneManifest
    engine: str
    device: str
    version: str

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Turn frames into features.

        Args:
            frames: shape (n, 299, 299, 3), uint8, RGB, 0..255; the network scales them itself.

        Returns:
            Shape (n, 2048), float32; row i belongs to frames[i]. n = 0 gives (0, 2048).

        Raises:
            ValueError: frames have another shape or type.
        """
        ...


def check_frames(frames: FrameArray) -> None:
    """Refuse anything but uint8 RGB frames of the network's size.

    Raises:
        ValueError: naming what was received.
    """
    expected = (FRAME_SIDE_PX, FRAME_SIDE_PX, 3)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != expected:
        raise ValueError(
            f"Frames must be uint8 of shape (n, 299, 299, 3), RGB. "
            f"Received: {frames.dtype} of shape {frames.shape}."
        )


def no_features() -> FeatureArray:
    """The features of no frames: shape (0, 2048), float32."""
    return np.empty((0, N_FEATURES), np.float32)
