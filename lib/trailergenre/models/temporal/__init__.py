"""Temporal heads: a link's frames, in order, to its genres.

`training` fits a head with Keras; a fitted `TemporalHead` needs ONNX Runtime only, and importing
this package imports neither Keras nor TensorFlow.
"""

from trailergenre.models.temporal.head import TemporalHead, from_bytes, to_bytes
from trailergenre.models.temporal.source import FeatureSource

__all__ = ["FeatureSource", "TemporalHead", "from_bytes", "to_bytes"]
