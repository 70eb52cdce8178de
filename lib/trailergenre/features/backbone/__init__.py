"""Frames to features: one artefact that holds network and preprocessing, and engines that run it.

Knows nothing of videos or Spark. The input is what `decode` yields; nothing else prepares frames.
"""

from trailergenre.features.backbone.artefact import BackboneManifest, read_manifest
from trailergenre.features.backbone.embedder import Embedder
from trailergenre.features.backbone.engines import check_backbone, frames_a_call, load_embedder

__all__ = [
    "BackboneManifest",
    "Embedder",
    "check_backbone",
    "frames_a_call",
    "load_embedder",
    "read_manifest",
]
