"""The fixed inputs of the benchmarks: clips, network and list."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from trailergenre import schemas, tables
from trailergenre.backbone.export import export_backbone
from trailergenre.decode import find_ffmpeg
from trailergenre.links import link_id
from trailergenre.records import Link
from trailergenre.storage import Store

CLIP_S = 150
N_CLIPS = 6


def make_clips(directory: Path) -> list[Path]:
    """Six H.264 clips of 150 s, 640x360, 24 frames/s: moving patterns under film-like grain."""
    directory.mkdir(parents=True)
    clips = []
    for number in range(N_CLIPS):
        clip = directory / f"{number}.mp4"
        source = f"testsrc2=s=640x360:r=24:d={CLIP_S},hue=h={number * 60},noise=alls=8:allf=t"
        command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "800k", str(clip)]
        subprocess.run(command, check=True)
        clips.append(clip)
    return clips


def export_backbone_once(directory: Path) -> Path:
    """The real Inception-V3 with seeded weights; speed does not depend on their values."""
    export_backbone("random", directory)
    return directory


def write_run(store: Store, clips: Sequence[Path]) -> list[Link]:
    """Write the table `links` of a run over local files."""
    links = [Link(link_id(clip.as_uri()), clip.as_uri()) for clip in clips]
    rows = [
        {
            "row_id": hashlib.sha256(link.url.encode()).hexdigest(),
            "link_id": link.link_id,
            "url": link.url,
            "title": "",
            "movie_id": None,
            "genres": [],
            "row_outcome": "ready",
            "detail": "",
        }
        for link in links
    ]
    tables.write_table(store, "links", pa.Table.from_pylist(rows, schema=schemas.LINKS))
    return links
