"""Backbones for tests, exported once a session."""

from __future__ import annotations

from pathlib import Path

from trailergenre.backbone.export import export_backbone


def export_tiny(directory: Path, seed: int = 7) -> Path:
    """Write a two-layer network with the real one's input and output; takes no second."""
    export_backbone("random", directory, network="tiny", seed=seed)
    return directory
