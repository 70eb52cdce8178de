"""The temporal head: a link's frames in their order to its genres.

`training` fits one (Keras, TensorFlow); what comes of it, a `TemporalHead`, is scored with ONNX
Runtime alone, and importing this package imports neither Keras nor TensorFlow.
"""

from trailergenre.models.temporal.head import TemporalHead, from_bytes, to_bytes
from trailergenre.models.temporal.source import FeatureSource

__all__ = ["FeatureSource", "TemporalHead", "from_bytes", "to_bytes"]
