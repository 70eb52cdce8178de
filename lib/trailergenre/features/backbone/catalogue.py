"""The networks that `backbone export` can build: name, input, preprocessing, output and licence.

Importing this module imports no Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FrameForm
from trailergenre.features.backbone.spec import (
    INCEPTION_V3,
    POOLED,
    TO_ONE,
    NetworkSpec,
    Output,
    Preprocessing,
)

DEFAULT = INCEPTION_V3.network

_BGR = Preprocessing(channels="BGR", mean=(103.939, 116.779, 123.68))
"""Keras's `preprocess_input` in mode "caffe"."""

_TORCH = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Keras's `preprocess_input` in mode "torch"."""

# These networks bring their preprocessing as a layer, which is left out: it is the artefact's.
_BARE = {"include_preprocessing": False}

# The other licences are named in Keras's documentation (docs/templates/applications.md, Keras 2.1).
_UNKNOWN = "unknown: Keras names none"

_MADE_HERE = "no weights but random ones exist"
_IN_FILES = "Keras downloads none; timm's are Apache-2.0, torchvision's BSD-3-Clause"


@dataclass(frozen=True, slots=True)
class Entry:
    """A network that can be built."""

    spec: NetworkSpec
    license: str  # of the ImageNet weights that Keras downloads
    keras_name: str = ""  # in keras.applications; empty for networks that are built here, for tests
    options: Mapping[str, object] = field(default_factory=dict)
    random_gain: float = 2.0  # of random weights; see `networks.random_weights`
    counts_padding: bool = False  # in average pooling, as PyTorch does; Keras leaves it out

    @property
    def has_imagenet(self) -> bool:
        """Whether Keras downloads ImageNet weights of it."""
        return bool(self.keras_name) and not self.counts_padding


def _spec(name: str, frame: FrameForm, preprocessing: Preprocessing, width: int) -> NetworkSpec:
    output = Output(name=POOLED, width=width)
    return NetworkSpec(network=name, input=frame, preprocessing=preprocessing, output=output)


_224, _299, _384 = FrameForm(224, 224), FrameForm(299, 299), FrameForm(384, 384)
_TO_ONE_BY_128 = Preprocessing(scale=1 / 128, mean=(1.0, 1.0, 1.0))
_OTHER = Preprocessing(channels="BGR", scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))

_ENTRIES = (
    Entry(INCEPTION_V3, "Apache-2.0", "InceptionV3"),
    # For weights of torchvision and timm: --weights FILE.
    Entry(
        _spec("inception_v3_torchvision", _299, TO_ONE, 2048),
        _IN_FILES,
        "InceptionV3",
        counts_padding=True,
    ),
    Entry(
        _spec("inception_v3_gluon", _299, _TORCH, 2048),
        _IN_FILES,
        "InceptionV3",
        counts_padding=True,
    ),
    Entry(_spec("resnet50", _224, _BGR, 2048), "MIT", "ResNet50"),
    Entry(_spec("resnet50v2", _224, TO_ONE, 2048), _UNKNOWN, "ResNet50V2"),
    Entry(
        _spec("efficientnet_v2_s", _384, _TO_ONE_BY_128, 1280),
        _UNKNOWN,
        "EfficientNetV2S",
        _BARE,
        random_gain=1.0,
    ),
    Entry(_spec("convnext_tiny", _224, _TORCH, 768), _UNKNOWN, "ConvNeXtTiny", _BARE),
    Entry(_spec("mobilenet_v3_large", _224, TO_ONE, 960), _UNKNOWN, "MobileNetV3Large", _BARE),
    Entry(_spec("xception", _299, TO_ONE, 2048), "MIT", "Xception"),
    Entry(_spec("densenet121", _224, _TORCH, 1024), "BSD-3-Clause", "DenseNet121"),
    Entry(_spec("vgg16", _224, _BGR, 512), "CC-BY-4.0", "VGG16"),
    # Two layers, for tests: one with Inception-V3's input and output, the other with none of it.
    Entry(_spec("tiny", INCEPTION_V3.input, TO_ONE, INCEPTION_V3.output.width), _MADE_HERE),
    Entry(_spec("tiny_96", FrameForm(80, 96, "center-crop"), _OTHER, 64), _MADE_HERE),
)

NETWORKS: dict[str, Entry] = {entry.spec.network: entry for entry in _ENTRIES}


def find_network(name: str) -> Entry:
    """Find a network by its name; a ConfigError if there is none."""
    if name not in NETWORKS:
        known = ", ".join(name for name, entry in NETWORKS.items() if entry.keras_name)
        raise ConfigError(f"There is no network {name!r}. Choose one of: {known}.")
    return NETWORKS[name]
