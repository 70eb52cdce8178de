"""What downloads cost: processor seconds of children (B14), bytes (B7) and requests (B13).

    python benchmarks/downloads.py      prints all three as JSON, about 2 minutes

Everything is served on loopback. Each function is plain, for whoever gathers the goals.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Literal
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from backbones import export_tiny
from clips import make_clip
from lists import as_links, write_links
from served import MASTER, SMALLEST, serve_formats, video_of
from servers import Answer, AnswerServer, answer, content, page
from submits import command, environment
from trailergenre.base.config import ChunksConfig, LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.fault_injection import VARIABLE, Point, Victim
from trailergenre.base.records import Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.sandbox.fork_client import stop_servers
from trailergenre.base.storage import Store
from trailergenre.features.chunks import TASKS_PER_SLOT, count_tasks
from trailergenre.videos import attempt
from trailergenre.videos.downloader import Downloader

N_LINKS = 32
"""One chunk, so that the start of a worker's server is in the figure as in a short run."""

_CLIP_S = 10
_SLOTS = 1
_LINKS_A_TASK = 24
_CHUNK = ChunksConfig(max_links=8)
"""A third of a task, so that a task asked for anew as a whole would be seen."""

# Counts the calls from outside; a page that leads on makes yt-dlp call itself.
_COUNTED = """
import sys
sys.path.insert(0, sys.argv[1])
from trailergenre.videos.ytdlp_patches import load_yt_dlp
youtube_dl = load_yt_dlp()
look = youtube_dl.extract_info
def counted(ydl, *arguments, **more):
    if ydl.hops == 0:
        with open({log!r}, "a") as log:
            log.write("x")
    return look(ydl, *arguments, **more)
youtube_dl.extract_info = counted
"""


def child_cpu_s_a_link(kind: Literal["file", "page"], n_links: int = N_LINKS) -> float:
    """Processor seconds of everything that a download starts, over the number of links.

    Args:
        kind: a link to a file, or to a page that only yt-dlp's generic extractor takes.
        n_links: fetched one after the other by a worker that has fetched nothing before.
    """
    stop_servers()
    before_s = _children_cpu_s()
    with _clip() as clip:
        answers, paths = _offer(kind, clip, n_links)
        _fetch_all(answers, paths)
    stop_servers()
    return (_children_cpu_s() - before_s) / n_links


def bytes_of_served_list() -> dict[str, int]:
    """Bytes for a link that offers 144p ... 1080p, with and without sound.

    Returns:
        `video`: of the file that came; `smallest`: of the format that should; `wire`: of all
        answers, headers and playlists included; `offered`: of all formats together.
    """
    with tempfile.TemporaryDirectory() as name:
        formats = Path(name)
        answers = serve_formats(formats)
        sent: list[int] = []
        counted = {path: _counting(reply, sent) for path, reply in answers.items()}
        (video,) = _fetch_all(counted, [MASTER])
        return {
            "video": video.size_bytes,
            "smallest": len(video_of(formats, SMALLEST)),
            "wire": sum(sent),
            "offered": sum(path.stat().st_size for path in formats.glob("*/*.ts")),
        }


def requests_of_run() -> dict[str, int]:
    """Requests of a small run on Spark, of which a worker is killed before its second commit.

    Returns:
        `committed`: requests of a second run, whose links are all committed; `extract_info`: most
        calls of one attempt, at a file and at a page; `repeated`: links asked for again after the
        kill; `open_chunk`: most links that may be open, of `links_a_task`.
    """
    with tempfile.TemporaryDirectory() as name, _clip() as clip:
        work = Path(name)
        backbone = export_tiny(work / "tiny")
        n_links = TASKS_PER_SLOT * _SLOTS * _LINKS_A_TASK
        paths = [f"/{number}.mp4" for number in range(n_links)]
        with answer(dict.fromkeys(paths, content(clip))) as server:
            run = work / "run"
            write_links(Store(str(run)), [f"http://{server.address}{path}" for path in paths])
            settings = [f"backbone.path={backbone}", f'network.allow=["{server.address}"]']
            settings += [f"chunks.max_links={_CHUNK.max_links}"]
            arguments = [str(run), *(word for pair in settings for word in ("--set", pair))]
            _featurize(arguments, f"{Point.FEATURES_WRITTEN}:{Victim.WORKER}:0:1")
            repeated = [path for path in paths if server.requested[path] > _once(clip)]
            server.requests.clear()
            _featurize(arguments)
            committed = len(server.requests)
    return {
        "committed": committed,
        "extract_info": max(_looks(kind) for kind in ("file", "page")),
        "repeated": len(repeated),
        "open_chunk": _CHUNK.max_links,
        "links_a_task": math.ceil(n_links / count_tasks(n_links, _SLOTS)),
    }


def _once(clip: bytes) -> int:
    """Requests of one attempt at a file."""
    with answer({"/x.mp4": content(clip)}) as server:
        _fetch(server, ["/x.mp4"])
        return len(server.requests)


def _looks(kind: Literal["file", "page"]) -> int:
    """Calls of `extract_info` of one attempt."""
    with tempfile.TemporaryDirectory() as name, _clip() as clip:
        log = Path(name) / "log"
        counting = _COUNTED.format(log=str(log)) + attempt._BOOTSTRAP
        answers, paths = _offer(kind, clip, 1)
        with patch.object(attempt, "_BOOTSTRAP", counting):
            _fetch_all(answers, paths)
        return len(log.read_text())


def _offer(kind: str, clip: bytes, n_links: int) -> tuple[dict[str, Answer], list[str]]:
    """Answers of a server and the links to ask it for."""
    if kind == "file":
        paths = [f"/{number}.mp4" for number in range(n_links)]
        return dict.fromkeys(paths, content(clip)), paths
    paths = [f"/watch/{number}" for number in range(n_links)]
    player = page('<video src="/clip.mp4"></video>')
    return {**dict.fromkeys(paths, player), "/clip.mp4": content(clip)}, paths


def _fetch_all(answers: dict[str, Answer], paths: Sequence[str]) -> list[Video]:
    with answer(answers) as server:
        return _fetch(server, paths)


def _fetch(server: AnswerServer, paths: Sequence[str]) -> list[Video]:
    network = NetworkConfig(allow=(server.address,))
    downloader = Downloader(LinksConfig(), network, LimitsConfig(attempts=1))
    with tempfile.TemporaryDirectory() as name:
        links = as_links(f"http://{server.address}{path}" for path in paths)
        return [downloader.fetch(link, Path(name), Deadline(120))[0] for link in links]


@contextmanager
def _clip() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as name:
        source = f"testsrc2=s=640x360:r=24:d={_CLIP_S}"
        yield make_clip(Path(name) / "clip.mp4", source, "-preset", "ultrafast").read_bytes()


class _Counting:
    """A stream that notes how much is written to it."""

    def __init__(self, stream: IO[bytes], sent: list[int]) -> None:
        self._stream = stream
        self._sent = sent

    def write(self, data: bytes) -> int:
        self._sent.append(len(data))
        return self._stream.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _counting(reply: Answer, sent: list[int]) -> Answer:
    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.wfile = _Counting(request.wfile, sent)  # type: ignore[assignment]
        reply(request, seen)

    return run


def _featurize(arguments: Sequence[str], fault: str = "") -> None:
    """Run the job; a task that is killed is tried again."""
    conf = [f"spark.master=local[{_SLOTS},4]"]
    subprocess.run(
        command("featurize", *arguments, conf=conf),
        env=environment() | {VARIABLE: fault},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure all."""
    cpu_s = {kind: child_cpu_s_a_link(kind) for kind in ("file", "page")}  # type: ignore[arg-type]
    found = {"B14": cpu_s, "B7": bytes_of_served_list(), "B13": requests_of_run()}
    print(json.dumps({"load": os.getloadavg(), **found}, indent=2))


if __name__ == "__main__":
    main()
