"""trailergenre: movie trailers to genres, on a laptop or on a Spark cluster."""

import os

__version__ = "0.1.0"

# Else ONNX Runtime (seen in 1.32) sends what it runs to its maker, and leaves a device id and a
# database in HOME. It looks when it is imported, which is later than this, and only then.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
