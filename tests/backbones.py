"""Backbones for tests, exported once a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trailergenre.features.backbone.export import export_backbone


def export_tiny(directory: Path, seed: int = 7, network: str = "tiny") -> Path:
    """Write a two-layer network, by default with the real one's input and output."""
    export_backbone("random", directory, network=network, seed=seed)
    return directory


def frames_of(n: int, seed: int = 0) -> np.ndarray:
    """Noise as frames, uint8 RGB."""
    return np.random.default_rng(seed).integers(0, 256, (n, 299, 299, 3), np.uint8)
