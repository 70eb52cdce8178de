"""The smallest adequate format, of a list that a server really offers."""

from __future__ import annotations

from pathlib import Path

from lists import as_links
from served import FORMATS, MASTER, SMALLEST, serve_formats, video_of
from servers import answer
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.sandbox import Deadline
from trailergenre.videos.downloader import Downloader


def test_the_smallest_format_of_a_served_list_is_fetched_and_nothing_else(tmp_path: Path) -> None:
    formats, scratch = tmp_path / "formats", tmp_path / "scratch"
    formats.mkdir()
    scratch.mkdir()
    with answer(serve_formats(formats)) as server:
        network = NetworkConfig(allow=(server.address,))
        (link,) = as_links([f"http://{server.address}{MASTER}"])
        downloader = Downloader(LinksConfig(), network, LimitsConfig())
        video, attempts = downloader.fetch(link, scratch, Deadline(60))
        # yt-dlp reads the first playlist too, for the length of the whole.
        parts = [path for path in server.requested if path.endswith(".ts")]
        n_offered = sum(path.endswith("list.m3u8") for path in server.answers)
    assert (n_offered, attempts) == (len(FORMATS), 1)
    smallest = video_of(formats, SMALLEST)
    assert video.path.read_bytes() == smallest
    assert len(smallest) < len(video_of(formats, SMALLEST.replace("alone", "sound")))
    assert sorted(parts) == [f"{SMALLEST}/list0.ts", f"{SMALLEST}/list1.ts"]
