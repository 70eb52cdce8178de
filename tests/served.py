"""One clip as a site serves it: HLS in six sizes, each as pictures alone and with sound."""

from __future__ import annotations

from pathlib import Path

from clips import run_ffmpeg
from servers import Answer, content
from servers.manifests import HLS

MASTER = "/master.m3u8"
SIZES = ((256, 144), (426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080))
SMALLEST = "/360-alone"
"""Where the format lies that is to be taken: the smallest with both sides of 299 px, no sound."""

_SOURCES = ("-f", "lavfi", "-i", "testsrc2=s={size}:r=4:d=4", "-f", "lavfi", "-i", "sine=d=4")


def serve_formats(directory: Path) -> dict[str, Answer]:
    """Make all formats below a directory; gives the answers of a server by path."""
    lines = ["#EXTM3U"]
    # The largest first and sound before none: the place in the list must not decide.
    for width, height in reversed(SIZES):
        for name, maps, codecs in (
            ("sound", ("-map", "0", "-map", "1"), "avc1.4d401e,mp4a.40.2"),
            ("alone", ("-map", "0"), "avc1.4d401e"),
        ):
            folder = directory / f"{height}-{name}"
            folder.mkdir()
            sources = [word.format(size=f"{width}x{height}") for word in _SOURCES]
            pictures = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "8")
            lists = ("-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod")
            run_ffmpeg(*sources, *maps, *pictures, *lists, str(folder / "list.m3u8"))
            rate = sum(part.stat().st_size for part in folder.glob("*.ts")) * 2
            lines += [
                f'#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION={width}x{height},CODECS="{codecs}"',
                f"{folder.name}/list.m3u8",
            ]
    answers = {MASTER: content("\n".join(lines).encode() + b"\n", HLS)}
    for path in directory.glob("*/*"):
        kind = HLS if path.suffix == ".m3u8" else "video/mp2t"
        answers[f"/{path.relative_to(directory)}"] = content(path.read_bytes(), kind)
    return answers


def video_of(directory: Path, format_path: str) -> bytes:
    """The bytes of one format, all parts in order."""
    return b"".join(part.read_bytes() for part in sorted(directory.glob(f"{format_path[1:]}/*.ts")))
