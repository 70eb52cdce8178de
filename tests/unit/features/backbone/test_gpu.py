"""What can be known of `device = gpu` without one: no machine that this was made on has a GPU.

The whole way of ONNX Runtime's GPU engine runs here for real on its CPU provider, and memory that
runs out is each library's own error.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from backbones import frames_of
from trailergenre.base import onnx_session
from trailergenre.base.config import BackboneConfig, Config
from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError
from trailergenre.base.onnx_session import open_gpu_session, open_session, run_bound
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.features.backbone import check_backbone, load_embedder, onnx_engine
from trailergenre.features.backbone.embedder import FixedBatches
from trailergenre.features.backbone.spec import INCEPTION_V3
from trailergenre.features.backbone.tensorflow_engine import TensorFlowEmbedder, take_gpu
from trailergenre.features.settings import feature_settings, stream_settings


def test_a_call_brings_several_batches_to_a_gpu() -> None:
    gpu = Config(backbone=BackboneConfig(device="gpu", batch_size=64))
    assert stream_settings(gpu, FORM).batch_size == 256
    assert stream_settings(Config(), FORM).batch_size == 16


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the GPU engine a session on the CPU; all else is its own."""

    def open_it(content: bytes, *, device_id: int) -> object:
        return open_session(content, threads=1)

    monkeypatch.setattr(onnx_engine, "open_gpu_session", open_it)


@pytest.mark.usefixtures("on_the_cpu")
def test_fixed_batches_and_bound_memory_do_not_change_a_bit(tiny_backbone: Path) -> None:
    frames = frames_of(11)
    config = BackboneConfig(path=str(tiny_backbone), device="gpu", batch_size=4)
    gpu = load_embedder(config, address="1")
    assert (gpu.engine, gpu.device) == ("onnxruntime", "gpu")
    cpu = load_embedder(BackboneConfig(path=str(tiny_backbone)))
    np.testing.assert_array_equal(gpu.embed(frames), cpu.embed(frames))
    assert gpu.embed(frames[:0]).shape == (0, 2048)
    with pytest.raises(ValueError, match="Received"):
        gpu.embed(frames.astype(np.float32))


def test_onnxruntimes_own_out_of_memory_halves_the_batch(
    tiny_backbone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An arena of 60 MB, of the class that serves its GPUs, does not hold 32 frames."""
    arena = onnxruntime.OrtArenaCfg({"max_mem": 60_000_000, "arena_extend_strategy": 1})
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    onnxruntime.create_and_register_allocator(memory, arena)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        (tiny_backbone / "network.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    batches = FixedBatches(
        lambda frames: run_bound(session, {name: frames}), INCEPTION_V3, size=32, in_flight=1
    )
    frames = frames_of(40)
    with caplog.at_level(logging.WARNING):
        features = batches.embed(frames)
    assert "the device is out of memory; from now on 16 frames per batch" in caplog.text
    assert "Available memory of" in caplog.text
    cpu = load_embedder(BackboneConfig(path=str(tiny_backbone)))
    np.testing.assert_array_equal(features, cpu.embed(frames))


@pytest.mark.parametrize(
    "said",
    [
        # onnxruntime issues 16307 and 584 of Deep-Live-Cam: what a GPU's allocator says.
        "Non-zero status code returned while running ReduceSum node. onnxruntime::BFCArena::"
        "AllocateRawInternal Failed to allocate memory for requested buffer of size 939524096",
        "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaStreamCreateWithFlags(&stream, 1);",
    ],
)
def test_what_a_gpus_allocator_says_is_out_of_memory(said: str) -> None:
    class Session:
        def io_binding(self) -> object:
            raise onnx_session.ort_errors.RuntimeException(said)

    with pytest.raises(MemoryError, match=r"allocate memory|out of memory"):
        run_bound(Session(), {})


def test_an_onnxruntime_without_cuda_is_refused(tiny_backbone: Path) -> None:
    config = BackboneConfig(path=str(tiny_backbone), device="gpu")
    with pytest.raises(ConfigError, match="onnxruntime-gpu"):
        load_embedder(config)
    assert check_backbone(config).network == "tiny"  # the driver needs no GPU


def test_a_cuda_build_that_cannot_use_the_gpu_is_no_silent_cpu(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    content = (tiny_backbone / "network.onnx").read_bytes()
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ConfigError, match=r"cannot use GPU 2.*CPU EP has been explicitly disabled"),
    ):
        open_gpu_session(content, device_id=2)


def test_a_session_that_took_the_cpu_nevertheless_is_refused(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (tiny_backbone / "network.onnx").read_bytes()
    session = open_session(content, threads=1)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: session)
    with pytest.raises(ConfigError, match="the session runs on CPUExecutionProvider"):
        open_gpu_session(content, device_id=0)


def test_tensorflows_out_of_memory_halves_the_batch(
    tiny_backbone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tensorflow.errors import ResourceExhaustedError

    config = BackboneConfig(path=str(tiny_backbone), engine="tensorflow", batch_size=8)
    embedder = load_embedder(config)
    assert isinstance(embedder, TensorFlowEmbedder)
    expected = embedder.embed(frames_of(5))
    call = embedder._call

    def need_much(frames: np.ndarray) -> object:
        if len(frames) > 2:
            # As seen for tensorflow.zeros([2**42]) on a CPU, which tries for ten seconds.
            raise ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[2]")
        return call(frames)

    embedder._call = need_much
    with caplog.at_level(logging.WARNING):
        found = embedder.embed(frames_of(5))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(caplog.records) == 2
    assert "OOM when allocating tensor" in caplog.text


class Gpus:
    """`tensorflow.config` of a machine with GPUs: what of it is called."""

    def __init__(self, n: int, *, is_begun: bool = False) -> None:
        self.gpus = [f"gpu {number}" for number in range(n)]
        self.calls: list[object] = []
        self.is_begun = is_begun
        self.experimental = self

    def list_physical_devices(self, _: str) -> list[str]:
        return self.gpus

    def enable_tensor_float_32_execution(self, is_on: bool) -> None:
        self.calls.append(("tf32", is_on))

    def set_visible_devices(self, gpus: list[str], _: str) -> None:
        if self.is_begun:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.calls.append(("visible", gpus))

    def set_memory_growth(self, gpu: str, is_on: bool) -> None:
        self.calls.append(("growth", gpu, is_on))


def test_tensorflow_takes_the_granted_gpu_alone_and_as_much_memory_as_it_needs() -> None:
    settings = Gpus(3)
    take_gpu(settings, 1)
    assert settings.calls == [
        ("tf32", False),
        ("visible", ["gpu 1"]),
        ("growth", "gpu 1", True),
    ]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Gpus(0), "finds no GPU 1; it finds 0"),
        (Gpus(1), "finds no GPU 1; it finds 1"),
        (Gpus(2, is_begun=True), "One process serves one GPU"),
    ],
)
def test_a_gpu_that_tensorflow_cannot_take_is_named(settings: Gpus, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        take_gpu(settings, 1)


@pytest.mark.parametrize("address", ["GPU-8f2a", "", "-1", "0,1", "²"])
def test_an_address_that_is_no_index_is_refused(tiny_backbone: Path, address: str) -> None:
    config = BackboneConfig(path=str(tiny_backbone), device="gpu", engine="tensorflow")
    with pytest.raises(ConfigError, match="must be its index on the machine"):
        load_embedder(config, address=address)


def test_mixed_precision_gives_float32_near_fp32_under_its_own_fingerprint(
    tiny_backbone: Path,
) -> None:
    frames = frames_of(5)
    config = BackboneConfig(path=str(tiny_backbone), engine="tensorflow", batch_size=2)
    mixed = config.model_copy(update={"mixed_precision": True})
    fp32, found = load_embedder(config).embed(frames), load_embedder(mixed).embed(frames)
    assert found.dtype == np.float32
    difference = np.abs(found - fp32).max() / np.abs(fp32).max()
    assert 1e-6 < difference < 2e-3  # float16 keeps 11 bits
    import keras

    assert keras.config.dtype_policy().name == "float32"
    manifest = check_backbone(config)
    settings = feature_settings(Config(backbone=mixed), manifest)
    assert settings.precision == "mixed_float16"
    assert settings.fingerprint != feature_settings(Config(backbone=config), manifest).fingerprint


def test_mixed_precision_is_tensorflows_alone() -> None:
    with pytest.raises(ConfigError, match="mixed_precision requires engine = tensorflow"):
        load_config([], ["backbone.mixed_precision=true"])
