"""trailergenre: movie trailers to genres, on a laptop or on a Spark cluster.

import trailergenre as tg

net = tg.load_backbone("artefacts/backbone")
x = tg.embed("trailer.mp4", net)
model = tg.load_bundle("bundles/mine")
frame = tg.score(["a.mp4", "https://..."], model, net)
run = tg.open_run("runs/mine")
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trailergenre.api import (
        Backbone,
        FrameFeatures,
        ItemError,
        Run,
        decode,
        embed,
        load_backbone,
        load_bundle,
        open_run,
        score,
        timeline,
    )

__version__ = "0.1.0"
__all__ = [
    "Backbone",
    "FrameFeatures",
    "ItemError",
    "Run",
    "decode",
    "embed",
    "load_backbone",
    "load_bundle",
    "open_run",
    "score",
    "timeline",
]

# Else ONNX Runtime (seen in 1.32) sends what it runs to its maker, and leaves a device id and a
# database in HOME. It looks when it is imported, which is later than this, and only then.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> object:
    # Workers and download children import this package, too: it must stay small until it is used.
    if name in __all__:
        value: object = getattr(importlib.import_module("trailergenre.api"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
