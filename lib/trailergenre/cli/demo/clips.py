"""Generated clips whose looks hint at their genres, links that fail, and a server for them.

As in real trailers, not every shot fits the genre: a model can learn much from the looks, not all.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from trailergenre.frames.ffmpeg import find_ffmpeg

CLIPS_PER_GENRE = 10
PAIRS = (("Action", "Comedy"), ("Horror", "Sci-Fi"))
CLIPS_PER_PAIR = 4
SHOTS = 3
SHOT_S = 1
OWN_LOOK_SHARE = 0.6
"""Of the shots; the others have the look of any genre. A model then ends near mAP .7."""
SIZE = "400x300"
RATE = 8
SEED = 6


def make_clips(directory: Path, base_url: str) -> Path:
    """Write clips, and a CSV of links to them and of a dozen rows that fail; return the CSV's path.

    A server serves `directory` at `base_url`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    generator = random.Random(SEED)
    counts: dict[tuple[str, ...], int] = {(genre,): CLIPS_PER_GENRE for genre in _LOOKS}
    counts |= dict.fromkeys(PAIRS, CLIPS_PER_PAIR)
    clips = {
        f"{'-'.join(genres).lower()}-{number:02}.mp4": genres
        for genres, count in counts.items()
        for number in range(count)
    }
    commands = [_command(directory / name, genres, generator) for name, genres in clips.items()]
    with ThreadPoolExecutor(max_workers=2) as executor:
        list(executor.map(_run, commands))
    _make_bad_files(directory, directory / next(iter(clips)))
    rows = [
        (f"{base_url}/{name}", Path(name).stem, "|".join(genres)) for name, genres in clips.items()
    ]
    rows += _bad_rows(base_url, rows[0])
    table = directory / "links.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["url", "title", "genres"])
        writer.writerows(rows)
    return table


def _action(generator: random.Random) -> str:
    hue, speed = generator.randint(0, 359), generator.randint(360, 720)
    return f"testsrc2=s={SIZE}:r={RATE},hue=h={hue}+t*{speed}:s={generator.uniform(1.5, 3):.2f}"


def _comedy(generator: random.Random) -> str:
    warm = [f"0x{generator.choice(['ff', 'ee'])}{generator.randint(120, 220):02x}40" for _ in "ab"]
    return (
        f"gradients=s={SIZE}:r={RATE}:c0={warm[0]}:c1={warm[1]}:n=2"
        f":seed={generator.randint(1, 9999)}:speed={generator.uniform(0.01, 0.05):.3f}"
    )


def _horror(generator: random.Random) -> str:
    grain = generator.randint(15, 45)
    dark = generator.randint(8, 30)
    return (
        f"color=c=0x{dark:02x}{dark:02x}{dark:02x}:s={SIZE}:r={RATE},"
        f"noise=alls={grain}:allf=t:all_seed={generator.randint(1, 9999)},vignette"
    )


def _sci_fi(generator: random.Random) -> str:
    return (
        f"life=s={SIZE}:r={RATE}:mold=10:ratio={generator.uniform(0.1, 0.4):.2f}"
        f":seed={generator.randint(1, 9999)}:life_color=#40a0ff:death_color=#001040"
    )


_LOOKS = {"Action": _action, "Comedy": _comedy, "Horror": _horror, "Sci-Fi": _sci_fi}


def _command(target: Path, genres: tuple[str, ...], generator: random.Random) -> list[str]:
    """The ffmpeg command of one clip."""
    looks = [
        generator.choice(genres if generator.random() < OWN_LOOK_SHARE else tuple(_LOOKS))
        for _ in range(SHOTS)
    ]
    filters = [
        f"{_LOOKS[look](generator)},trim=duration={SHOT_S},setsar=1,format=yuv420p[v{number}]"
        for number, look in enumerate(looks)
    ]
    labels = "".join(f"[v{number}]" for number in range(SHOTS))
    graph = ";".join([*filters, f"{labels}concat=n={SHOTS}[out]"])
    return [
        *(find_ffmpeg(), "-v", "error", "-y", "-filter_complex", graph, "-map", "[out]"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart", str(target)),
    ]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _make_bad_files(directory: Path, good: Path) -> None:
    content = good.read_bytes()
    (directory / "cut.mp4").write_bytes(content[: len(content) // 5])
    (directory / "noise.mp4").write_bytes(random.Random(SEED).randbytes(4000))
    (directory / "empty.mp4").write_bytes(b"")
    (directory / "page.html").write_text("<html><title>No video here</title></html>")
    sound = str(directory / "sound.m4a")
    _run([find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", "sine=duration=2", sound])


def _bad_rows(base_url: str, first: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    """Rows whose links fail, and a duplicate of the first row."""
    files = ("cut.mp4", "noise.mp4", "empty.mp4", "page.html", "sound.m4a", "removed.mp4")
    links = [
        *(f"{base_url}/{name}" for name in files),
        *("", "not a link", "ftp://example.org/x.mp4", "http://127.0.0.1:9/private.mp4"),
        "https://www.youtube.com/user/somebody",
    ]
    rows = [(link, f"Bad link {number}", "Action") for number, link in enumerate(links)]
    return [*rows, first]


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer; a downloader that needs only the head of a file closes the connection."""
        with contextlib.suppress(ConnectionError):
            super().do_GET()


@contextlib.contextmanager
def serve_files(directory: Path, port: int) -> Iterator[str]:
    """Serve a directory on 127.0.0.1 while the block runs, on a free port if it is 0.

    Yields `127.0.0.1:PORT`; an OSError if the port is in use.
    """
    handler = functools.partial(_Handler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
