"""One clip as a site serves it: HLS in many sizes, as pictures alone and with sound."""

from __future__ import annotations

from pathlib import Path

from clips import run_ffmpeg
from servers import Answer, content
from servers.manifests import HLS

MASTER = "/master.m3u8"
SIZES = ((256, 144), (426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080))
FORMATS = [
    *((size, kind) for size in reversed(SIZES) for kind in ("sound", "alone")),
    # Large enough and smaller than the one to take, but never without sound.
    ((400, 300), "sound"),
]
"""The largest first and sound before none: the place in the list must not decide."""
SMALLEST = "/360-alone"
"""Where the format lies that is to be taken: the smallest with both sides of 299 px, no sound."""

_CODECS = {"alone": "avc1.4d401e", "sound": "avc1.4d401e,mp4a.40.2"}
_RATE = 4
_PART_S = 2


def serve_formats(directory: Path) -> dict[str, Answer]:
    """Make all formats below a directory; gives the answers of a server by path."""
    lines = ["#EXTM3U"]
    for (width, height), kind in FORMATS:
        folder = directory / f"{height}-{kind}"
        folder.mkdir()
        _make_parts(folder, f"{width}x{height}", has_sound=kind == "sound")
        rate = sum(part.stat().st_size for part in folder.glob("*.ts")) * 2
        stream = f'BANDWIDTH={rate},RESOLUTION={width}x{height},CODECS="{_CODECS[kind]}"'
        lines += [f"#EXT-X-STREAM-INF:{stream}", f"{folder.name}/list.m3u8"]
    answers = {MASTER: content("\n".join(lines).encode() + b"\n", HLS)}
    for path in directory.glob("*/*"):
        kind = HLS if path.suffix == ".m3u8" else "video/mp2t"
        answers[f"/{path.relative_to(directory)}"] = content(path.read_bytes(), kind)
    return answers


def video_of(directory: Path, format_path: str) -> bytes:
    """The bytes of one format, all parts in order."""
    return b"".join(part.read_bytes() for part in sorted(directory.glob(f"{format_path[1:]}/*.ts")))


def _make_parts(folder: Path, size: str, *, has_sound: bool) -> None:
    sources = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={_RATE}:d={2 * _PART_S}"]
    if has_sound:
        sources += ["-f", "lavfi", "-i", f"sine=d={2 * _PART_S}"]
    pictures = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    parts = ("-g", str(_RATE * _PART_S), "-f", "hls", "-hls_time", str(_PART_S))
    run_ffmpeg(*sources, *pictures, *parts, "-hls_playlist_type", "vod", str(folder / "list.m3u8"))
