"""How ffmpeg is started, and what its exit means."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from clips import make_clip, run_ffmpeg
from ffmpeg_logs import coloured
from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError, StorageError, ToolMissingError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames import ffmpeg as program
from trailergenre.frames.decoder import Decoder

FakeFfmpeg = Callable[[str], None]


@pytest.fixture
def fake_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFfmpeg:
    """Replaces ffmpeg by a shell script."""

    def put(script: str) -> None:
        path = tmp_path / "ffmpeg"
        script = re.sub(r"(?<=echo ')[^']*", lambda log: coloured(log[0]), script)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(stat.S_IRWXU)
        monkeypatch.setattr(program, "find_ffmpeg", lambda: str(path))

    return put


def decode(path: Path, limits: LimitsConfig | None = None) -> ItemError:
    """Decode and return the error."""
    video = Decoder(FORM, 1, limits or LimitsConfig()).decode(path, deadline=Deadline(60))
    with pytest.raises(ItemError) as raised:
        list(video.batches(16))
    return raised.value


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", "testsrc2=s=64x64:r=4:d=2")


def test_untrusted_bytes_meet_only_what_is_listed() -> None:
    limits = LimitsConfig()
    arguments = program.decode_arguments(
        Path("/x.mp4"), Path("/times"), form=FORM, frames_per_s=1, limits=limits
    )
    before = arguments[: arguments.index("-i")]
    options = dict(zip(before[1::2], before[2::2], strict=True))
    assert options == {
        "-codec_whitelist": program.DECODERS,
        "-format_whitelist": "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg",
        "-protocol_whitelist": "file",
        "-max_alloc": "268435456",
        "-max_pixels": str(2 * limits.max_pixels),
        "-reinit_filter": "0",
        "-threads": "1",
    }
    assert arguments[arguments.index("-i") + 1] == "file:/x.mp4"
    assert arguments[arguments.index("-frames:v") + 1] == "1201"
    assert float(arguments[arguments.index("-t") + 1]) == 1202
    assert "-nostdin" in arguments
    # ffmpeg chooses the stream.
    assert "-map" not in arguments


def test_probe_has_the_same_bounds() -> None:
    decoding = program.decode_arguments(
        Path("/x"), Path("/times"), form=FORM, frames_per_s=1, limits=LimitsConfig()
    )
    place = decoding.index("-reinit_filter")
    del decoding[place : place + 2]
    probing = program.probe_arguments(Path("/x"), LimitsConfig())
    assert probing[: probing.index("-i")] == decoding[: decoding.index("-i")]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_limits_are_in_force_while_it_decodes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "x.mp4", "testsrc2=s=64x64:r=2:d=60", "-preset", "ultrafast")
    others = psutil.Process().children()
    config = LimitsConfig(max_memory_bytes=1_400_000_000)
    frames = Decoder(FORM, 1, config).decode(clip, deadline=Deadline(60)).batches(1)
    next(frames)
    # It blocks until the pipe is read.
    (child,) = [child for child in psutil.Process().children() if child not in others]
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    lines = {line[:25].strip(): line[25:].split()[:2] for line in limits.splitlines()}
    assert lines["Max address space"] == ["1400000000"] * 2
    assert lines["Max file size"] == ["8000000"] * 2
    assert lines["Max cpu time"] == ["1200", "1205"]
    assert lines["Max open files"] == ["128"] * 2
    assert lines["Max core file size"] == ["0"] * 2
    status = Path(f"/proc/{child.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    frames.close()  # type: ignore[attr-defined]
    assert psutil.Process().children() == others


@pytest.mark.parametrize(
    ("script", "outcome", "detail"),
    [
        ("kill -SEGV $$", Outcome.DECODER_CRASH, "signal 11"),
        ("kill -KILL $$", Outcome.DECODER_CRASH, "signal 9"),
        ("kill -XCPU $$", Outcome.RESOURCE, "processor time"),
        ("yes '[error] damaged' 1>&2", Outcome.DECODE, "error messages"),
        (
            "echo '[info] Exiting normally, received signal 24.' 1>&2; exit 255",
            Outcome.RESOURCE,
            "",
        ),
        (
            "echo '[info] Exiting normally, received signal 15.' 1>&2; exit 255",
            Outcome.DECODER_CRASH,
            "signal 15",
        ),
        (
            "echo '[h264 @ 0x1] [error] get_buffer: Cannot allocate memory' 1>&2; exit 1",
            Outcome.RESOURCE,
            "allocate",
        ),
        ("exit 3", Outcome.DECODE, "no reason"),
    ],
)
def test_end_of_the_child_becomes_a_class(
    fake_ffmpeg: FakeFfmpeg, clip: Path, script: str, outcome: Outcome, detail: str
) -> None:
    fake_ffmpeg(f"exec {script}" if script.startswith("yes") else script)
    error = decode(clip)
    assert error.outcome is outcome
    assert detail in error.detail


def test_memory_over_the_bound_is_resource(
    fake_ffmpeg: FakeFfmpeg, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(
        program.child_limits(LimitsConfig()), memory_bytes=60_000_000, address_space_bytes=None
    )
    monkeypatch.setattr("trailergenre.frames.decoder.child_limits", lambda _: limits)
    code = "import time; held = bytearray(90_000_000); time.sleep(20)"
    fake_ffmpeg(f"exec {sys.executable} -c '{code}'")
    error = decode(clip)
    assert (error.outcome, "60000000 bytes" in error.detail) == (Outcome.RESOURCE, True)


def test_processor_time_ends_a_decoder_that_does_not(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "x.mp4", "color=red:s=64x64:r=30:d=60", "-preset", "ultrafast")
    limits = LimitsConfig(deadline_s=0.4, max_frames=10**6)
    video = Decoder(FORM, 60, limits).decode(clip, deadline=Deadline(60))
    with pytest.raises(ItemError, match="processor time"):
        list(video.batches(16))


def test_ffmpeg_that_cannot_be_started_fails_the_run(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "find_ffmpeg", lambda: "/nowhere/ffmpeg")
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    with pytest.raises(ToolMissingError, match="cannot be started"):
        list(video.batches(16))


def test_ffmpeg_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "ffmpeg_version", lambda: "5.1.6")
    with pytest.raises(ToolMissingError, match=r"too old: .* is 5\.1\.6\. Install 6 or newer"):
        program.ffmpeg_major()


@pytest.mark.parametrize(
    "log",
    [
        "",
        "[info] Reading x.mp4",
        "[info] Input #0, mov,mp4, from x:",
        "[verbose]   Input stream #0:0 (video): 2 packets read (1 bytes); 2 frames decoded;",
    ],
)
def test_frames_without_their_figures_fail_the_run(
    fake_ffmpeg: FakeFfmpeg, clip: Path, log: str
) -> None:
    fake_ffmpeg(f"head -c {2 * INCEPTION_V3_FRAME.n_bytes} /dev/zero; echo '{log}' 1>&2")
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    with pytest.raises(StorageError, match=r"Free space.*ffmpeg 6"):
        list(video.batches(16))


def test_no_frames_and_no_log_fail_the_run(fake_ffmpeg: FakeFfmpeg, clip: Path) -> None:
    fake_ffmpeg("exit 0")
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    with pytest.raises(StorageError, match="Free space"):
        list(video.batches(16))


@pytest.mark.parametrize(
    "doctype",
    [
        b"matroska\n[fatal] Unrecognized option 'x'",
        b"matroska\r\n\x1b[0;31m[error] \x1b[0m\x1b[0;31mPermission denied\n",
        b"x\n[verbose]   Input stream #0:0 (video): 0 packets read; 0 frames decoded\n",
    ],
)
def test_text_of_a_file_forges_no_event(tmp_path: Path, doctype: bytes) -> None:
    head = b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08"
    head += (
        b"\x42\x82" + bytes([0x80 + len(doctype)]) + doctype + b"\x42\x87\x81\x04\x42\x85\x81\x02"
    )
    clip = tmp_path / "x.mp4"
    clip.write_bytes(b"\x1a\x45\xdf\xa3" + bytes([0x80 + len(head)]) + head)
    assert decode(clip).outcome is Outcome.NOT_MEDIA


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe"])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.mp4"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert decode(path).outcome is Outcome.PATH


def test_second_look_that_dies_makes_no_partial_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer sound: only the second pass shows that no picture is missing.
    clip = tmp_path / "x.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x64:r=4:d=2", "-f", "lavfi", "-i", "sine=d=8"),
        str(clip),
    )
    monkeypatch.setattr(
        "trailergenre.frames.completeness.probe_arguments",
        lambda *_: ["/bin/sh", "-c", "kill -SEGV $$"],
    )
    assert decode(clip).outcome is Outcome.DECODER_CRASH
