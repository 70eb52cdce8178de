"""Reads weights in the forms that people have, and sets them in a network that Keras built.

Nothing in such a file is run: arrays are read, and a file must hold the arrays of the network and
no others, but for a classifier's (docs/decisions/0033-weight-files.md).
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from trailergenre.base.errors import WeightsError, one_line
from trailergenre.features.backbone.artefact import MANIFEST_FILE, read_manifest
from trailergenre.features.backbone.torch_files import read_torch_file
from trailergenre.features.backbone.torch_inception import TORCH_NETWORKS, set_torch_weights

FORMS = (
    "a Keras .weights.h5, .h5 or .keras file, the weights.safetensors of a backbone, or "
    "Inception-V3 of torchvision or timm as .pth or .safetensors"
)

_KERAS_ARCHIVE = "model.weights.h5"
_MAX_ARCHIVE_BYTES = 4 << 30
_MAX_CLASSIFIER_LAYERS = 3
"""Layers with weights behind the features: VGG's classifier has three, all others fewer."""
_CLASSIFIER = ("dense", "conv2d")

# Keras has no type stubs.
Model = Any
Variables = Sequence[Any]
Shapes = dict[str, tuple[int, ...]]


def set_weights(model: Model, path: Path) -> None:
    """Set the weights of a network of `networks.build_network` from a file.

    A WeightsError says what is wrong with the file; the form follows from its content, not from its
    name.
    """
    if not path.is_file():
        raise WeightsError(
            f"There are no weights at {path}. --weights takes imagenet, random, or a file: {FORMS}."
        )
    try:
        _set_from(model, model.name, path)
        _check_finite(model)
    except (ValueError, OSError, KeyError, SafetensorError) as error:
        raise WeightsError(
            f"The weights {path} cannot be used for {model.name}: {one_line(str(error), 500)}."
        ) from error


def _set_from(model: Model, network: str, path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(9)
    if h5py.is_hdf5(path):
        _set_keras(model, network, path)
    elif start[:4] == b"PK\x03\x04" and _KERAS_ARCHIVE in (names := _names(path)):
        _check_keras(network)
        with tempfile.TemporaryDirectory() as directory:
            _set_keras(model, network, _unpack(path, names[_KERAS_ARCHIVE], Path(directory)))
    elif start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        set_torch_weights(_body(model), network, read_torch_file(path))
    elif start[8:9] == b"{":
        _set_safetensors(model, network, path)
    else:
        raise ValueError(f"it is none of {FORMS}")


def _body(model: Model) -> Model:
    """What files hold: the network without our preprocessing, if it is one of Keras's own."""
    last = model.layers[-1]
    return last if hasattr(last, "layers") else model


def _check_keras(network: str) -> None:
    if network in TORCH_NETWORKS:
        raise ValueError(
            "it is a file of Keras, whose Inception-V3 pools in another way: --network inception_v3"
        )


def _set_keras(model: Model, network: str, path: Path) -> None:
    _check_keras(network)
    with h5py.File(path) as file:
        arrays = dict(_list_arrays(file))
        group = file.get("model_weights", file)
        if "layer_names" in group.attrs or "layer_names0" in group.attrs:
            _set_legacy(_body(model), group)
            return
        # Others are of an optimizer or of a configuration.
        weights = {name: array for name, array in arrays.items() if name.startswith("layers/")}
        for name, array in weights.items():
            _check_dtype(name, array.dtype)
        shapes = {name: tuple(array.shape) for name, array in weights.items()}
    _set_keras3(_body(model), path, shapes)


def _list_arrays(group: h5py.Group, above: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """Name every array of an HDF5 file; a ValueError for one that lies elsewhere.

    HDF5 can refer to other files on this machine, whose content would become weights.
    """
    for name in group:
        place = f"{above}{name}"
        entry = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if isinstance(entry, h5py.Group):
            yield from _list_arrays(entry, f"{place}/")
        elif not isinstance(entry, h5py.Dataset) or entry.external or entry.is_virtual:
            raise ValueError(f"its {place} refers to something elsewhere")
        else:
            yield place, entry


def _set_keras3(body: Model, path: Path, received: Shapes) -> None:
    """Files of Keras 3, which name arrays by their layers' kinds: `layers/conv2d_3/vars/0`."""
    with tempfile.TemporaryDirectory() as directory:
        ours = Path(directory) / "ours.weights.h5"
        body.save_weights(ours)
        with h5py.File(ours) as file:
            expected = {name: tuple(array.shape) for name, array in _list_arrays(file)}
        _compare(expected, received)
        given = Path(directory) / "given.weights.h5"  # Keras tells the format by the suffix
        given.symlink_to(path.resolve())
        body.load_weights(given)


def _compare(expected: Shapes, received: Shapes) -> None:
    """Raise a ValueError unless a file has the network's arrays, and perhaps a classifier."""
    for name, shape in expected.items():
        if name not in received:
            raise ValueError(
                f"it lacks {name} of shape {shape}; it has {len(received)} arrays, the network "
                f"{len(expected)}"
            )
        if received[name] != shape:
            raise ValueError(f"{name} has the shape {received[name]}, the network's has {shape}")
    more = sorted({name.split("/")[1] for name in received if name not in expected})
    if len(more) > _MAX_CLASSIFIER_LAYERS or not all(name.startswith(_CLASSIFIER) for name in more):
        raise ValueError(
            f"it has {len(more)} layers that the network lacks, {more[0]} for one, and these are "
            "no classifier"
        )


def _set_legacy(body: Model, group: h5py.Group) -> None:
    """Files of Keras 2: layers in the network's order, whatever their names."""
    layers = [(layer.name, _variables(layer)) for layer in body.layers if layer.weights]
    given = [(name, group[name]) for name in _attribute(group, "layer_names")]
    filled = [
        (name, names, one) for name, one in given if (names := _attribute(one, "weight_names"))
    ]
    if not len(layers) <= len(filled) <= len(layers) + _MAX_CLASSIFIER_LAYERS:
        raise ValueError(
            f"it has {len(filled)} layers with weights, the network {len(layers)} without its "
            "classifier"
        )
    for (ours, variables), (name, names, one) in zip(layers, filled, strict=False):
        arrays = [one[each] for each in names]
        shapes = [tuple(array.shape) for array in arrays]
        expected = [tuple(variable.shape) for variable in variables]
        if shapes != expected:
            raise ValueError(
                f"its layer {name} has arrays of the shapes {shapes}, the network's {ours} has "
                f"{expected}"
            )
        for variable, array in zip(variables, arrays, strict=True):
            _check_dtype(name, array.dtype)
            variable.assign(array[()])


def _variables(layer: Any) -> Variables:  # noqa: ANN401 - Keras layers are untyped
    """A layer's variables in the order of Keras 2."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _attribute(group: h5py.Group, name: str) -> list[str]:
    """A list of names; one that is too long for an attribute is in several: `name0`, `name1`."""
    if name in group.attrs:
        values = list(group.attrs[name])
    else:
        parts: list[Any] = []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        values = [value for part in parts for value in part]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _names(path: Path) -> dict[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {member.filename: member for member in archive.infolist()}
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is truncated or damaged: {error}") from error


def _unpack(path: Path, member: zipfile.ZipInfo, directory: Path) -> Path:
    """Take the weights out of a .keras file; its configuration may hold code, and is not read."""
    if member.file_size > _MAX_ARCHIVE_BYTES:
        raise ValueError(f"its weights have more than {_MAX_ARCHIVE_BYTES} bytes")
    out = directory / "unpacked.weights.h5"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as source, out.open("wb") as to:
            shutil.copyfileobj(source, to)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"it is truncated or damaged: {error}") from error
    return out


def _set_safetensors(model: Model, network: str, path: Path) -> None:
    arrays = load_file(path)
    if not all(name.isdigit() for name in arrays):
        set_torch_weights(_body(model), network, arrays)
        return
    _check_neighbour(network, path)
    ours = [arrays[name] for name in sorted(arrays)]
    expected, received = ([a.shape for a in each] for each in (model.get_weights(), ours))
    if received != expected:
        raise ValueError(
            f"it has {len(received)} arrays, the network {len(expected)}; or their shapes differ"
        )
    for name, array in arrays.items():
        _check_dtype(name, array.dtype)
    model.set_weights(ours)


def _check_neighbour(network: str, path: Path) -> None:
    """The arrays of a backbone have no names, and networks exist that differ by their pooling."""
    if (path.parent / MANIFEST_FILE).exists():
        found = read_manifest(path.parent).network
        if found != network:
            raise ValueError(f"it is of a backbone {found}: --network {found}")


def _check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype != np.float32:
        raise ValueError(f"{name} is {dtype}; weights must be float32")


def _check_finite(model: Model) -> None:
    weights: list[NDArray[np.float32]] = model.get_weights()
    for variable, array in zip(model.weights, weights, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"its {variable.path} has values that are not finite")
