"""A directory like a checkout after `make setup`, in which tests type the documentation's commands.

It also has what a reader brings: a list of links to a server on loopback, another one to be scored,
and a home directory with a folder of videos.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reproduce.made import make_movies, write_trailers12k

import jvms
from blocks import read_page
from clips import make_clip
from submits import REPOSITORY

GENRES = ("Comedy", "Comedy|Horror", "Horror")
LOOKS = {
    "Comedy": "gradients=c0=0xffd060:c1=0xff9040:n=2:seed={seed}",
    "Comedy|Horror": "testsrc2",
    "Horror": "color=0x{seed:02}0000",
}
LINKS_A_GENRE = {"Comedy": 15, "Comedy|Horror": 40, "Horror": 15}
"""Gives both genres the 50 movies that `dataset.min_movies_per_genre` requires."""
CLIPS_A_LOOK = 5

TIMEOUT_S = 1500
"""Bounds a page that hangs."""


@dataclass(frozen=True)
class Checkout:
    """A place to type commands in.

    Attributes:
        root: stands for the repository.
        home: the reader's home directory.
        names: text of a page -> its replacement here.
    """

    root: Path
    home: Path
    names: Mapping[str, str]

    def run_page(self, page: str) -> subprocess.CompletedProcess[str]:
        """Type all unmarked blocks of a page into one shell."""
        blocks = [b for b in read_page(page) if b.language == "sh" and not b.not_run]
        return self.run_shell("".join(f"echo '# {block}'\n{block.text}" for block in blocks))

    def run_shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run text as if typed into a new terminal; stop at the first failure."""
        for name, here in self.names.items():
            text = text.replace(name, here)
        # Scripts must enable aliases.
        script = f"set -e -o pipefail\nshopt -s expand_aliases\n{text}"
        names = ("JAVA_HOME", *jvms.ENVIRONMENT)
        kept = {key: os.environ[key] for key in names if key in os.environ}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", script],
            cwd=self.root,
            env={**kept, "PATH": _plain_path(), "HOME": str(self.home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def _plain_path() -> str:
    """Return PATH without this environment: a page must say that it is activated."""
    ours = str(Path(sys.executable).parent)
    return os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != ours)


def make_checkout(root: Path, *, backbone: Path, demo: Path, served: Path, address: str) -> None:
    """Fill a directory.

    Args:
        root: the directory.
        backbone: copied to where `backbone export` writes.
        demo: the demo's output; copied, because pages write reports into it.
        served: directory of the server for the links.
        address: of that server.
    """
    root.mkdir()
    for name in ("jobs", "notebooks"):
        (root / name).symlink_to(REPOSITORY / name)
    (root / ".venv").symlink_to(sys.prefix)
    (root / ".cache").mkdir()
    (root / ".cache" / "jars").symlink_to(REPOSITORY / ".cache" / "jars")
    shutil.copytree(REPOSITORY / "conf", root / "conf")
    (root / "trailergenre.toml").write_text(f'[network]\nallow = ["{address}"]\n')
    shutil.copytree(backbone, root / "artefacts" / "backbone")
    shutil.copytree(demo, root / "demo-run", ignore=shutil.ignore_patterns("mongo", "backbone"))
    _write_links(root / "links.csv", served, address)
    write_trailers12k(root / "trailers12k", make_movies(400, frames=(2, 5)))
    (root / "new.csv").write_text(
        "url,title,year\n"
        f"http://{address}/horror-01.mp4,The Long Hall,2019\n"
        f"http://{address}/gone.mp4,Gone,2020\n"
        f"http://{address}/comedy-01.mp4,Two Cops,2021\n"
    )


def make_home(home: Path) -> None:
    """Make a home with `~/trailers`: eight videos per genre, in folders."""
    for genre in ("Comedy", "Horror"):
        folder = home / "trailers" / genre.lower()
        folder.mkdir(parents=True)
        for number in range(8):
            _make_video(folder / f"{number:02}.mp4", genre, number)


def _write_links(table: Path, served: Path, address: str) -> None:
    """Write links to a few videos under many names."""
    rows = []
    for genres in GENRES:
        for number in range(LINKS_A_GENRE[genres]):
            name = f"{genres.lower().replace('|', '-')}-{number:02}.mp4"
            if number < CLIPS_A_LOOK:
                _make_video(served / name, genres, number)
            else:
                source = name.replace(f"-{number:02}", f"-{number % CLIPS_A_LOOK:02}")
                shutil.copyfile(served / source, served / name)
            rows.append((f"http://{address}/{name}", Path(name).stem, genres))
    rows.append(("", "a film without a link", "Comedy"))
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("url", "title", "genres"), *rows])


def _make_video(path: Path, genres: str, number: int) -> None:
    look = LOOKS[genres].format(seed=number + 10)
    join = ":" if "=" in look else "="
    make_clip(path, f"{look}{join}s=320x320:r=4:d=2", "-preset", "ultrafast")
