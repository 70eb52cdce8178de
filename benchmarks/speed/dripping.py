"""One task's stream over links of a server, of which some may drip: prints JSON.

python -m speed.dripping BACKBONE ADDRESS NUMBER,NUMBER,... DEADLINE_S

Links are the numbers of what the server has; it alone knows which of them drip.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from trailergenre.base.config import BackboneConfig, Config, LimitsConfig, NetworkConfig
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.records import Link
from trailergenre.features.backbone import Embedder, load_embedder
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import stream_settings
from trailergenre.links.canonical import link_id


def main(backbone: Path, address: str, numbers: Iterable[int], deadline_s: float) -> None:
    """Bring all to their ends; loading the network and the first download are not counted."""
    config = Config(
        network=NetworkConfig(allow=(address,)),
        limits=LimitsConfig(deadline_s=deadline_s),
        backbone=BackboneConfig(path=str(backbone)),
    )
    embedder = load_embedder(config.backbone)
    _run(config, embedder, [f"http://{address}/0.mp4"])
    print(json.dumps(_run(config, embedder, [f"http://{address}/{n}.mp4" for n in numbers])))


def _run(config: Config, embedder: Embedder, urls: list[str]) -> dict[str, float]:
    links = [Link(link_id(url), url) for url in urls]
    n_frames, n_bad, last_good_s = 0, 0, 0.0
    started = time.monotonic()
    for link in embed_links(links, stream_settings(config, FORM), embedder):
        if link.row.is_ok:
            n_frames += link.row.frames
            last_good_s = time.monotonic() - started
        else:
            n_bad += 1
    wall_s = time.monotonic() - started
    return {
        "good_frames_per_s": n_frames / last_good_s,
        "frames_per_s": n_frames / wall_s,
        "tail_s": wall_s - last_good_s,
        "n_good": len(urls) - n_bad,
        "good_s": last_good_s,
    }


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), sys.argv[2], [int(n) for n in sys.argv[3].split(",")], float(sys.argv[4])
    )
