"""Import of a network that somebody exported to ONNX: `trailergenre backbone import`.

Such files take pixels that are scaled, normalised and, mostly, channels first. An artefact's graph
takes frames, uint8 RGB (n, height, width, 3); what has to happen between becomes its first nodes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from trailergenre.base.errors import WeightsError, one_line
from trailergenre.base.onnx_session import Session, open_session, run_session
from trailergenre.base.records import FeatureArray, FrameArray, FrameForm, Resize
from trailergenre.base.storage import hash_file
from trailergenre.base.versions import check_minimum_versions
from trailergenre.features.backbone.artefact import (
    ONNX_FILE,
    BackboneManifest,
    new_artefact,
    write_manifest,
)
from trailergenre.features.backbone.catalogue import NETWORKS
from trailergenre.features.backbone.spec import (
    NetworkSpec,
    Output,
    Preprocessing,
    compute_backbone_id,
)

_MAX_BYTES = (2 << 30) - (1 << 20)
"""Largest network: a protobuf file has less than 2 GB."""
_OUR = "trailergenre"
"""Prefix of what the import adds to a graph."""
_FRAMES = f"{_OUR}_frames"
_STANDARD = ("", "ai.onnx")
_MAX_DEVIATION = 1e-4
"""Largest deviation of a frame's features between two batches, relative to its largest feature."""
_PACKAGES = ("onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an ONNX file does not say of its network.

    Attributes:
        side: height and width of the images, in pixels.
        resize: how an image is brought there.
        mean, std: of each channel R, G, B, for pixels of 0..1.
        outputs: the output to take is the first of these that the file has; none: the only one of
            shape (n, width).
        class_token: of an output (n, tokens, width), the first token stands for the image.
        license: of the weights.
    """

    side: int
    resize: Resize = "squeeze"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    outputs: tuple[str, ...] = ()
    class_token: bool = False
    license: str = "unknown"


# From preprocessor_config.json of openai/clip-vit-base-patch32 (resample 3, shortest edge and crop
# 224), google/siglip2-base-patch16-224 and facebook/dinov3-vits16-pretrain-lvd1689m (both resample
# 2, 224 x 224); rescale_factor is 1 / 255 in all. In Transformers' DINOv3ViTModel, pooler_output is
# last_hidden_state[:, 0].
PRESETS = {
    "clip": Exported(
        side=224,
        resize="center-crop",
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        outputs=("image_embeds",),
        license="MIT, if the weights are OpenAI's",
    ),
    "siglip2": Exported(
        side=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        outputs=("pooler_output",),
        license="Apache-2.0, if the weights are Google's",
    ),
    "dinov3": Exported(
        side=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        outputs=("pooler_output", "last_hidden_state"),
        class_token=True,
        license="DINOv3 License, if the weights are Meta's",
    ),
}


def import_backbone(path: Path, out: Path, *, name: str, known: Exported) -> BackboneManifest:
    """Write an artefact from an ONNX file; errors are WeightsErrors.

    Args:
        path: the ONNX file; weights in a second file beside it are taken in.
        out: directory to write; an artefact there is replaced, anything else a ForeignFileError.
        name: of the network.
        known: what the file does not say.
    """
    check_minimum_versions("onnx")
    with new_artefact(out) as unfinished:
        try:
            form = FrameForm(known.side, known.side, known.resize)
            preprocessing = Preprocessing(scale=1 / 255, mean=known.mean, std=known.std)
            if name in NETWORKS:
                raise ValueError(f"{name} is the name of another network: give another --name")
            model = _read(path)
            content = model.SerializeToString(deterministic=True)
            output = _adapt(model, form, preprocessing, known)
            width = _try_out(model, form)
        except ValueError as error:
            raise WeightsError(
                f"{path} cannot be imported: {one_line(str(error), 600)}.",
                "Needed is an ONNX file of standard operators that turns float32 pixels "
                "(n, 3, height, width) into one float32 vector an image, for any n.",
            ) from error
        onnx.save(model, unfinished / ONNX_FILE)
        spec = NetworkSpec(
            network=name,
            input=form,
            preprocessing=preprocessing,
            output=Output(name=output, width=width),
        )
        manifest = BackboneManifest(
            **{field: getattr(spec, field) for field in NetworkSpec.model_fields},
            backbone_id=compute_backbone_id(spec, [hashlib.sha256(content).hexdigest()]),
            source=path.name,
            license=known.license,
            files={ONNX_FILE: hash_file(unfinished / ONNX_FILE)},
            versions={package: version(package) for package in _PACKAGES},
        )
        write_manifest(unfinished, manifest)
    return manifest


def _read(path: Path) -> onnx.ModelProto:
    """The network with all its weights, also those in a file beside it."""
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ValueError("it is no ONNX file, or truncated") from error
    entries = [entry for tensor in model.graph.initializer for entry in tensor.external_data]
    beside = sorted({entry.value for entry in entries if entry.key == "location"})
    lengths = [int(entry.value) for entry in entries if entry.key == "length"]
    if path.stat().st_size + sum(lengths) > _MAX_BYTES:
        raise ValueError("it has more than 2 GB of weights, which one ONNX file cannot hold")
    try:
        # Refuses files that lie elsewhere, and symbolic links.
        onnx.load_external_data_for_model(model, str(path.parent))
        for tensor in model.graph.initializer:
            tensor.ClearField("data_location")  # so that one network has one identity
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise ValueError(
            f"its weights in {', '.join(beside)}, which must lie beside it, cannot be read: {error}"
        ) from error
    return model


def _adapt(
    model: onnx.ModelProto, form: FrameForm, preprocessing: Preprocessing, known: Exported
) -> str:
    """Make the network take frames and give features; returns the name of the output."""
    graph = model.graph
    _check_operators(model)
    pixels = _find_pixels(graph)
    is_first = _is_channels_first(pixels, form)
    for node in reversed(_preprocess(pixels.name, is_channels_first=is_first)):
        graph.node.insert(0, node)
    frames = helper.make_tensor_value_info(_FRAMES, TensorProto.UINT8, ["n", *form.shape])
    pixels.CopyFrom(frames)
    graph.initializer.extend(_constants(preprocessing))
    output = _find_output(graph, known)
    name, dims = output.name, _dims(output)
    if len(dims) == 3:
        graph.initializer.append(numpy_helper.from_array(np.array(0), f"{_OUR}_first"))
        graph.node.append(
            helper.make_node("Gather", [name, f"{_OUR}_first"], [f"{_OUR}_features"], axis=1)
        )
        output.name = f"{_OUR}_features"
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["n", dims[-1]])
    )
    return name


def _check_operators(model: onnx.ModelProto) -> None:
    """Refuse operators that are no part of the standard: not every engine has them."""
    known = {*_STANDARD, *(function.domain for function in model.functions)}
    graphs: list[Any] = [model.graph, *model.functions]
    while graphs:
        for node in graphs.pop().node:
            if node.domain not in known:
                raise ValueError(f"its operator {node.domain}:{node.op_type} is not standard ONNX")
            for attribute in node.attribute:
                graphs += [attribute.g, *attribute.graphs]


def _find_pixels(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    known = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ValueError(
            f"it takes {names or 'nothing'} in place of pixels alone: take the file of the image "
            "part, which is called vision_model.onnx on the hub"
        )
    pixels: onnx.ValueInfoProto = inputs[0]
    return pixels


def _is_channels_first(pixels: onnx.ValueInfoProto, form: FrameForm) -> bool:
    """Whether a network takes (n, 3, height, width); a ValueError unless it takes these frames."""
    kind, dims = pixels.type.tensor_type.elem_type, _dims(pixels)
    if kind != TensorProto.FLOAT:
        raise ValueError(
            f"its input {pixels.name} is {TensorProto.DataType.Name(kind)}: take the float32 file"
        )
    if len(dims) == 4 and isinstance(dims[0], int):
        raise ValueError(
            f"its input has the shape {_format(dims)}, images by the {dims[0]} alone: export it "
            "with a batch of any size (dynamic_axes)"
        )
    layouts = {True: (3, form.height, form.width), False: (form.height, form.width, 3)}
    for is_first, layout in layouts.items():
        pairs = zip(dims[1:], layout, strict=False)
        if len(dims) == 4 and all(dim == side or isinstance(dim, str) for dim, side in pairs):
            return is_first
    raise ValueError(
        f"its input has the shape {_format(dims)}, not (n, 3, {form.height}, {form.width}): "
        "--input must be the size of the network's images"
    )


def _preprocess(pixels: str, *, is_channels_first: bool) -> list[onnx.NodeProto]:
    """Nodes from frames to what the network calls `pixels`."""
    steps: list[tuple[str, list[str], dict[str, Any]]] = [
        ("Cast", [], {"to": TensorProto.FLOAT}),
        ("Mul", [f"{_OUR}_scale"], {}),
        ("Add", [f"{_OUR}_offset"], {}),
    ]
    if is_channels_first:
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    names = [_FRAMES, *(f"{_OUR}_{place}" for place in range(len(steps) - 1)), pixels]
    return [
        helper.make_node(operator, [names[place], *more], [names[place + 1]], **attributes)
        for place, (operator, more, attributes) in enumerate(steps)
    ]


def _constants(preprocessing: Preprocessing) -> list[onnx.TensorProto]:
    """(pixel * scale - mean) / std as one product and one sum."""
    std = np.array(preprocessing.std)
    arrays = {
        "scale": preprocessing.scale / std,
        "offset": -np.array(preprocessing.mean) / std,
    }
    return [
        numpy_helper.from_array(array.astype(np.float32), f"{_OUR}_{name}")
        for name, array in arrays.items()
    ]


def _find_output(graph: onnx.GraphProto, known: Exported) -> onnx.ValueInfoProto:
    ranks = {output.name: len(_dims(output)) for output in graph.output}
    listed = ", ".join(f"{value.name} {_format(_dims(value))}" for value in graph.output)
    wanted = known.outputs or tuple(name for name, rank in ranks.items() if rank == 2)
    found = next((name for name in wanted if name in ranks), None)
    if found is None or (len(wanted) > 1 and not known.outputs):
        raise ValueError(f"--output must name one of its outputs: {listed}")
    if ranks[found] != 2 and not (ranks[found] == 3 and known.class_token):
        raise ValueError(
            f"its output {found} is no vector an image, and which of its tokens stands for the "
            f"image depends on the network. Its outputs: {listed}"
        )
    output: onnx.ValueInfoProto = graph.output[[*ranks].index(found)]
    return output


def _format(dims: Sequence[int | str]) -> str:
    return f"({', '.join(map(str, dims))})"


def _dims(value: onnx.ValueInfoProto) -> list[int | str]:
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in value.type.tensor_type.shape.dim
    ]


def _try_out(model: onnx.ModelProto, form: FrameForm) -> int:
    """Run the network on noise; returns the width of its features, which it sets in the graph."""
    try:
        session = open_session(model.SerializeToString(), threads=os.cpu_count() or 1)
        frames = np.random.default_rng(0).integers(0, 256, (3, *form.shape), np.uint8)
        together = _run(session, frames)
        alone = np.concatenate([_run(session, frames[i : i + 1]) for i in range(3)])
    except ValueError as error:
        raise ValueError(f"it does not run: {error}") from error
    if together.dtype != np.float32 or together.shape != alone.shape or len(together) != 3:
        raise ValueError(
            f"it gives {together.dtype} of shape {together.shape} for 3 images, not (3, width)"
        )
    if not np.isfinite(together).all():
        raise ValueError("it gives values that are not finite")
    bound = _MAX_DEVIATION * np.abs(alone).max()
    if np.abs(together - alone).max() > bound:
        raise ValueError("its features of an image depend on the other images of a batch")
    if np.abs(together - together[0]).max() <= bound:
        raise ValueError("it gives the same features for different images")
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = together.shape[1]
    return int(together.shape[1])


def _run(session: Session, frames: FrameArray) -> FeatureArray:
    features: FeatureArray = run_session(session, {_FRAMES: frames})
    return features
