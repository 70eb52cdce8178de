"""500 links through one worker: does it grow, does it leave anything behind?

python tests/growth.py --links 500

Prints one line of JSON: resident memory and open files over the first fifth of the links and over
the last tenth, of the process that does a Spark worker's work (and serves the clips).
Every fifth link is bad, in another way each time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import track

from backbones import export_tiny
from clips import make_clip
from lists import as_links
from servers import Answer, answer, content, status
from trailergenre.base.config import BackboneConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.fork_client import stop_servers
from trailergenre.features.backbone import load_embedder
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import stream_settings

MAX_GROWTH = 0.05


def main() -> None:
    """Run and print; exits 1 where the worker grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=500)
    n_links = parser.parse_args().links
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), n_links)
    figures["seconds"] = round(time.monotonic() - started)
    print(json.dumps(figures))
    raise SystemExit(0 if figures["holds"] else 1)


def measure(directory: Path, n_links: int) -> dict[str, object]:
    """Take the figures of one worker."""
    body = make_clip(directory / "clip.mp4", "testsrc2=s=320x240:r=8:d=3").read_bytes()
    bad: list[Answer] = [status(404), content(b"noise"), content(body[: len(body) // 2])]
    answers = {
        f"/{number}.mp4": content(body) if number % 5 else bad[number // 5 % len(bad)]
        for number in range(n_links)
    }
    outcomes: dict[str, int] = {}
    samples: list[tuple[float, int]] = []
    me = psutil.Process()
    with answer(answers) as server:
        config = load_config((), (f'network.allow=["{server.address}"]',))
        embedder = load_embedder(BackboneConfig(path=str(export_tiny(directory / "tiny"))))
        links = as_links(f"http://{server.address}{path}" for path in answers)
        embedded = embed_links(links, stream_settings(config, FORM), embedder)
        for link in track(embedded, total=n_links, console=Console(stderr=True)):
            outcomes[link.row.outcome] = outcomes.get(link.row.outcome, 0) + 1
            samples.append((me.memory_info().rss / 1e6, me.num_fds()))
    stop_servers()
    tenth = len(samples) // 10
    # The allocator needs a while until it has what the work takes; from there on it must be flat.
    first_mb = max(mb for mb, _ in samples[: 2 * tenth])
    last_mb = max(mb for mb, _ in samples[-tenth:])
    growth = last_mb / first_mb - 1
    n_open = [min(files for _, files in part) for part in (samples[:tenth], samples[-tenth:])]
    return {
        "links": n_links,
        "outcomes": outcomes,
        "first_mb": round(first_mb),
        "last_mb": round(last_mb),
        "growth": round(growth, 4),
        "open_files": n_open,
        "children": len(me.children(recursive=True)),
        "holds": growth < MAX_GROWTH
        and n_open[1] <= n_open[0]
        and not me.children(recursive=True)
        and outcomes.get(Outcome.INTERNAL, 0) == 0
        and sum(outcomes.values()) == n_links,
    }


if __name__ == "__main__":
    main()
