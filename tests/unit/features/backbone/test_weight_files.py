from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from trailergenre.base.errors import WeightsError
from trailergenre.features.backbone.artefact import write_weights
from trailergenre.features.backbone.networks import build_network, random_weights
from trailergenre.features.backbone.weight_files import set_weights

NETWORK = "tiny_96"

Arrays = list[np.ndarray]
Layers = Sequence[tuple[str, dict[str, np.ndarray]]]


@pytest.fixture(scope="module")
def source() -> Any:
    """A network of two convolutions with the weights that all files hold."""
    network = build_network(NETWORK)
    random_weights(network, seed=3)
    return network


@pytest.fixture(scope="module")
def with_classifier(source: Any) -> Any:
    import keras

    return keras.Model(source.input, keras.layers.Dense(5)(source.output))


def named(model: Any, name: str) -> Any:
    import keras

    return keras.Model(model.input, model.output, name=name)


def read(path: Path, network: str = NETWORK) -> Arrays:
    model = build_network(network)
    set_weights(model, path)
    return model.get_weights()


def write_legacy(path: Path, layers: Layers, *, below: str = "", at_once: int = 100) -> None:
    """As Keras 2 writes: names in attributes, arrays in groups of these names."""
    with h5py.File(path, "w") as file:
        top = file.create_group(below) if below else file
        names = [name for name, _ in layers]
        for place, start in enumerate(range(0, len(names), at_once)):
            part = [name.encode() for name in names[start : start + at_once]]
            attribute = "layer_names" if at_once >= len(names) else f"layer_names{place}"
            top.attrs[attribute] = part
        top.attrs["keras_version"] = b"2.4.0"
        top.attrs["backend"] = b"tensorflow"
        for name, arrays in layers:
            group = top.create_group(name)
            group.attrs["weight_names"] = [each.encode() for each in arrays]
            for each, array in arrays.items():
                group[each] = array


def legacy_layers(arrays: Arrays, *, first: int = 1) -> list[tuple[str, dict[str, np.ndarray]]]:
    kernel, bias, kernel_2, bias_2 = arrays
    one, two = f"conv2d_{first}", f"conv2d_{first + 1}"
    return [
        ("input_1", {}),
        (one, {f"{one}/kernel:0": kernel, f"{one}/bias:0": bias}),
        ("activation_1", {}),
        (two, {f"{two}/kernel:0": kernel_2, f"{two}/bias:0": bias_2}),
        ("global_average_pooling2d_1", {}),
    ]


DENSE = ("predictions", {"predictions/kernel:0": np.ones((64, 5), np.float32)})


def save_keras(model: Any, path: Path) -> None:
    model.save(path)


def save_keras3(model: Any, path: Path) -> None:
    model.save_weights(path)


@pytest.mark.parametrize("top", [False, True], ids=["features", "classifier"])
@pytest.mark.parametrize(("name", "save"), [("x.weights.h5", save_keras3), ("x.keras", save_keras)])
def test_files_of_keras_3_are_read(
    source: Any,
    with_classifier: Any,
    tmp_path: Path,
    name: str,
    save: Callable[[Any, Path], None],
    top: bool,
) -> None:
    save(with_classifier if top else source, tmp_path / name)
    for path in (tmp_path / name, (tmp_path / name).rename(tmp_path / "of any name")):
        if path.exists():
            for received, expected in zip(read(path), source.get_weights(), strict=True):
                np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("more", [[], [DENSE]], ids=["features", "classifier"])
@pytest.mark.parametrize("below", ["", "model_weights"], ids=["weights", "whole model"])
@pytest.mark.parametrize("at_once", [100, 2], ids=["one attribute", "several"])
def test_files_of_keras_2_are_read_in_the_order_of_their_layers(
    source: Any, tmp_path: Path, more: Layers, below: str, at_once: int
) -> None:
    path = tmp_path / "tiny_weights_tf_dim_ordering_tf_kernels.h5"
    layers = [*legacy_layers(source.get_weights(), first=7), *more]
    write_legacy(path, layers, below=below, at_once=at_once)
    for received, expected in zip(read(path), source.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


def test_the_configuration_in_a_keras_file_is_not_read(source: Any, tmp_path: Path) -> None:
    save_keras(source, tmp_path / "x.keras")
    with (
        zipfile.ZipFile(tmp_path / "x.keras") as old,
        zipfile.ZipFile(tmp_path / "y.keras", "w") as new,
    ):
        new.writestr("config.json", "lambda: None")
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    np.testing.assert_array_equal(read(tmp_path / "y.keras")[0], source.get_weights()[0])


def test_weights_of_a_backbone_are_read_into_its_own_network_alone(tiny_backbone: Path) -> None:
    directory = tiny_backbone
    assert [a.shape for a in read(directory / "weights.safetensors", "tiny")][-1] == (2048,)
    with pytest.raises(WeightsError, match="of a backbone tiny: --network tiny"):
        read(directory / "weights.safetensors")


def changed(change: Callable[[Arrays], Arrays]) -> Callable[[Arrays, Path], None]:
    """A writer of the arrays after a change, in both of Keras's layouts and in ours."""

    def write(arrays: Arrays, path: Path) -> None:
        arrays = change(arrays)
        if path.suffix == ".safetensors":
            save_file({f"{i:04d}": np.ascontiguousarray(a) for i, a in enumerate(arrays)}, path)
        elif path.name.endswith(".weights.h5"):
            with h5py.File(path, "w") as file:
                for place, array in enumerate(arrays):
                    layer = ["conv2d", "conv2d_1"][place // 2]
                    file[f"layers/{layer}/vars/{place % 2}"] = array
        else:
            write_legacy(path, legacy_layers(arrays))

    return write


CHANGES: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "shape": (lambda arrays: [arrays[0][:-1], *arrays[1:]], r"\(6, 7, 3, 8\)|shapes differ"),
    "transposed": (lambda arrays: [arrays[0].T, *arrays[1:]], r"\(8, 3, 7, 7\)|shapes differ"),
    "float16": (lambda arrays: [a.astype(np.float16) for a in arrays], "must be float32"),
    "float64": (lambda arrays: [a.astype(np.float64) for a in arrays], "must be float32"),
    "nan": (lambda arrays: [arrays[0] * np.nan, *arrays[1:]], "not finite"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["x.weights.h5", "x.h5", "x.safetensors"])
def test_arrays_that_do_not_fit_are_refused_by_name(
    source: Any, tmp_path: Path, name: str, change: str
) -> None:
    function, reason = CHANGES[change]
    changed(function)(source.get_weights(), tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name} cannot be used for {NETWORK}.*({reason})"):
        read(tmp_path / name)


def keras3_file(path: Path) -> Iterator[h5py.File]:
    with h5py.File(path, "a") as file:
        yield file


def lacks(file: h5py.File) -> None:
    del file["layers/conv2d_1"]


def has_more(file: h5py.File) -> None:
    for place in range(2, 6):
        file[f"layers/conv2d_{place}/vars/0"] = np.ones((3, 3, 8, 8), np.float32)


def has_no_classifier(file: h5py.File) -> None:
    file["layers/batch_normalization/vars/0"] = np.ones(8, np.float32)


def links_elsewhere(file: h5py.File) -> None:
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def links_softly(file: h5py.File) -> None:
    file["layers/conv2d/vars/2"] = h5py.SoftLink("/layers/conv2d/vars/0")


def lies_in_another_file(file: h5py.File) -> None:
    del file["layers/conv2d/vars/1"]
    external = [("/etc/hostname", 0, 32)]
    file.create_dataset("layers/conv2d/vars/1", (8,), np.float32, external=external)


def is_virtual(file: h5py.File) -> None:
    del file["layers/conv2d/vars/1"]
    layout = h5py.VirtualLayout((8,), np.float32)
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (8,))
    file.create_virtual_dataset("layers/conv2d/vars/1", layout)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lacks, r"lacks layers/conv2d_1/vars/0 of shape \(3, 3, 8, 64\); it has 2 arrays"),
        (has_more, "4 layers that the network lacks, conv2d_2 for one"),
        (has_no_classifier, "these are no classifier"),
        (links_elsewhere, "refers to something elsewhere"),
        (links_softly, "refers to something elsewhere"),
        (lies_in_another_file, "refers to something elsewhere"),
        (is_virtual, "refers to something elsewhere"),
    ],
)
def test_other_files_of_keras_3_are_refused(
    source: Any, tmp_path: Path, change: Callable[[h5py.File], None], reason: str
) -> None:
    source.save_weights(tmp_path / "x.weights.h5")
    for file in keras3_file(tmp_path / "x.weights.h5"):
        change(file)
    with pytest.raises(WeightsError, match=reason):
        read(tmp_path / "x.weights.h5")


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (lambda layers: layers[:2], "1 layers with weights, the network 2 without"),
        (lambda layers: [*layers, *[DENSE] * 4], "6 layers with weights"),
        (lambda layers: layers[::-1], r"its layer conv2d_2 has arrays of the shapes"),
    ],
    ids=["fewer", "more", "other order"],
)
def test_other_files_of_keras_2_are_refused(
    source: Any, tmp_path: Path, layers: Callable[[Layers], Layers], reason: str
) -> None:
    unique = layers(legacy_layers(source.get_weights()))
    write_legacy(
        tmp_path / "x.h5",
        [(f"{n}{i}" if n == "predictions" else n, a) for i, (n, a) in enumerate(unique)],
    )
    with pytest.raises(WeightsError, match=reason):
        read(tmp_path / "x.h5")


@pytest.mark.parametrize("name", ["x.weights.h5", "x.keras", "x.safetensors"])
def test_truncated_files_are_refused(source: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        write_weights(path, source.get_weights())
    else:
        (save_keras if path.suffix == ".keras" else save_keras3)(source, path)
    content = path.read_bytes()
    for n_bytes in (0, 5, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:n_bytes])
        with pytest.raises(WeightsError, match="cannot be used for"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"hello, weights", b"{}", b"PK\x03\x04 no zip"])
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be used for tiny_96"):
        read(tmp_path / "x")


def test_a_file_that_is_not_there_says_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"imagenet, random, or a file.*\.keras.*timm"):
        read(tmp_path / "none.h5")


@pytest.mark.parametrize(
    ("network", "name", "advice"),
    [
        ("inception_v3", "Conv2d_1a_3x3.conv.weight", "--network inception_v3_torchvision, or"),
        ("inception_v3", "conv1.weight", "of which Inception-V3 alone is read"),
        (NETWORK, "Conv2d_1a_3x3.conv.weight", "of which Inception-V3 alone is read"),
    ],
)
def test_weights_of_pytorch_name_the_network_that_they_are_for(
    source: Any, tmp_path: Path, network: str, name: str, advice: str
) -> None:
    save_file({name: np.zeros((32, 3, 3, 3), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=advice):
        set_weights(named(source, network), tmp_path / "model.safetensors")


def test_a_file_of_keras_is_not_taken_for_one_of_torchvision(source: Any, tmp_path: Path) -> None:
    source.save_weights(tmp_path / "x.weights.h5")
    shutil.copy(tmp_path / "x.weights.h5", tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="--network inception_v3"):
        set_weights(named(source, "inception_v3_torchvision"), tmp_path / "x.pth")
