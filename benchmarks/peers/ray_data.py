"""The same clips, decoder and network by Ray Data; prints frames a second.

unshare --map-root-user --net python benchmarks/peers/ray_data.py BACKBONE CLIP...

Written as its guide to batch inference says: a generator decodes in tasks, a class that holds the
network embeds in a pool of actors, and the features go to Parquet files. The clock starts when the
last actor has loaded its network; what was decoded before that is counted in Ray's favour.

Ray's servers listen on every address, and who reaches them may run code: hence a network of its
own, which reaches nothing and is reached by nobody.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import ray

from trailergenre.base.config import BackboneConfig, LimitsConfig
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.features.backbone import load_embedder
from trailergenre.frames.decoder import Decoder

CORES = len(os.sched_getaffinity(0))
BATCH = 16
DECODER_CORES = 0.25
"""What Ray plans with; an actor has the rest of a core."""


def decode(rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Clips to batches of frames."""
    for path in rows["path"]:
        video = Decoder(FORM, 1, LimitsConfig()).decode(Path(str(path)), deadline=Deadline(600))
        for number, frames in enumerate(video.batches(BATCH)):
            index = np.arange(len(frames)) + number * BATCH
            yield {"path": np.repeat(path, len(frames)), "index": index, "frame": frames}


class Embed:
    """Batches of frames to features."""

    def __init__(self, backbone: str, ready: str) -> None:
        """Load the network and use it once."""
        self._embedder = load_embedder(BackboneConfig(path=backbone))
        self._embedder.embed(np.zeros((BATCH, 299, 299, 3), np.uint8))
        (Path(ready) / str(os.getpid())).write_text(str(time.time()))

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Embed; frames go no further."""
        features = self._embedder.embed(np.ascontiguousarray(rows["frame"]))
        return {"path": rows["path"], "index": rows["index"], "features": features}


def start_loopback() -> None:
    """Switch on the only interface of this network; another one must not be there.

    Raises:
        SystemExit: this is a network that others are in.
    """
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        sys.exit(f"Ray would listen on {', '.join(others)}. Start this by unshare --net.")
    # SIOCSIFFLAGS with IFF_UP; see netdevice(7).
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", 1))


def main(backbone: str, clips: list[str]) -> None:
    """Run the whole way once."""
    with tempfile.TemporaryDirectory() as name:
        ready, out = Path(name) / "ready", Path(name) / "out"
        ready.mkdir()
        start_loopback()
        ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items(
            [{"path": clip} for clip in clips], override_num_blocks=len(clips)
        )
        frames = rows.map_batches(decode, batch_size=1, num_cpus=DECODER_CORES)
        features = frames.map_batches(
            Embed,
            fn_constructor_args=(backbone, str(ready)),
            batch_size=BATCH,
            num_cpus=1 - DECODER_CORES,
            compute=ray.data.ActorPoolStrategy(size=CORES),
        )
        features.write_parquet(str(out), ray_remote_args={"num_cpus": 0.1})
        ended = time.time()
        started = max(float(file.read_text()) for file in ready.iterdir())
        n_frames = ray.data.read_parquet(str(out)).count()
        ray.shutdown()
    print(n_frames / (ended - started))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
