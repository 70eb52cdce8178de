"""The fixed inputs of the benchmarks: clips, networks and lists, made when first asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from quality.commands import data_directory

from trailergenre.base.config import BackboneConfig, Config
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import Link
from trailergenre.base.storage import Store
from trailergenre.cli.doctor.bench import choose_engine, measure_engines
from trailergenre.frames.ffmpeg import find_ffmpeg
from trailergenre.links.canonical import link_id
from trailergenre.runs import schemas, tables

_DISTINCT = 6


@dataclass(frozen=True)
class Inputs:
    """What is measured on.

    Attributes:
        work: an existing directory for all of it.
        weights: `random`, or the path of Inception-V3's weights.
    """

    work: Path
    weights: str = "random"

    def directory(self, name: str) -> Path:
        """A new directory."""
        taken = len(list(self.work.glob(f"{name}-*")))
        directory = self.work / f"{name}-{taken}"
        directory.mkdir()
        return directory

    def clips(self, n: int, seconds: int) -> list[Path]:
        """H.264 clips, 640x360, 24 frames/s: moving patterns under film-like grain.

        Six are made of each length; the others are further names of them, which are other links.
        """
        directory = self.work / f"clips-{seconds}"
        directory.mkdir(exist_ok=True)
        clips = [directory / f"{number}.mp4" for number in range(n)]
        for number, clip in enumerate(clips):
            if clip.exists():
                continue
            if number < _DISTINCT:
                _make_clip(clip, seconds, hue=number * 60)
            else:
                os.link(clips[number % _DISTINCT], clip)
        return clips

    @cached_property
    def fp32(self) -> Path:
        """The real network; its speed does not depend on the values of its weights."""
        return self._export("fp32")

    @cached_property
    def int8(self) -> Path:
        """The same network in 8-bit integers: how much of it depends on the weights."""
        options = ("--precision", "int8", "--calibration", str(self.representative))
        return self._export("int8", *options, "--set", *self.frame_settings)

    @property
    def representative(self) -> Path:
        """Clips that int8 is quantized with and compared on: real ones if there are any."""
        return published_clips() or self.clips(_DISTINCT, 10)[0].parent

    # The published clips are a minute together.
    frame_settings = ("frames.per_second=4",)

    @cached_property
    def int8_engine(self) -> str:
        """The engine that runs it fastest here, as `trailergenre doctor --bench` finds it."""
        config = Config(backbone=BackboneConfig(path=str(self.int8)))
        return choose_engine(measure_engines(config), config.backbone.engine)

    def _export(self, precision: str, *options: str) -> Path:
        """By the command, in a process of its own: TensorFlow would stay in this one."""
        directory = self.work / f"backbone-{precision}"
        command = [sys.executable, "-m", "trailergenre", "backbone", "export"]
        command += ["--weights", self.weights, "--out", str(directory), *options]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return directory


def published_clips() -> Path | None:
    """Real clips: the directory `video` of the published data, where that is at hand."""
    try:
        videos = data_directory() / "video"
    except ConfigError:
        return None
    return videos if videos.is_dir() else None


def _make_clip(clip: Path, seconds: int, *, hue: int) -> None:
    source = f"testsrc2=s=640x360:r=24:d={seconds},hue=h={hue},noise=alls=8:allf=t"
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "800k", str(clip)]
    subprocess.run(command, check=True)


def write_run(store: Store, urls: Sequence[str]) -> list[Link]:
    """Write the table `links` of a run."""
    links = [Link(link_id(url), url) for url in urls]
    rows = [
        {
            "row": number,
            "link_id": link.link_id,
            "url": link.url,
            "title": "",
            "movie_id": None,
            "genres": [],
            "row_outcome": "ready",
            "detail": "",
            "other": "{}",
        }
        for number, link in enumerate(links, start=1)
    ]
    tables.write_table(store, "links", pa.Table.from_pylist(rows, schema=schemas.LINKS))
    return links
