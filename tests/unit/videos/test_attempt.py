"""Attempts in forks of one server: nothing passes from one to the next; a full disk."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from forked import program, run_fork
from lists import as_links
from servers import answer, content
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos import attempt
from trailergenre.videos.downloader import Downloader

COOKIES = "# Netscape HTTP Cookie File\n.c-span.org\tTRUE\t/\tFALSE\t4000000000\ta\tcanary-cookie\n"


def fetch(url: str, scratch: Path, *, allow: tuple[str, ...], proxy: str | None = None) -> str:
    """The outcome of a download."""
    downloader = Downloader(
        LinksConfig(),
        NetworkConfig(allow=allow, cookie_sites=("cspan",)),
        LimitsConfig(attempts=1),
        proxy=proxy,
        cookies=COOKIES,
    )
    (link,) = as_links([url])
    try:
        downloader.fetch(link, scratch, Deadline(60))
    except ItemError as error:
        return error.outcome
    return Outcome.OK


def test_rules_of_one_attempt_are_not_the_nexts(tmp_path: Path) -> None:
    with answer({"/x.mp4": content(b"video")}) as server:
        url, allowed = f"http://{server.address}/x.mp4", (server.address,)
        ways: list[dict[str, Any]] = [
            {"allow": allowed},
            {"allow": ()},
            {"allow": allowed},
            # Nothing listens there, and all other addresses are denied.
            {"allow": allowed, "proxy": "http://localhost:9"},
            {"allow": allowed},
        ]
        ends = [fetch(url, tmp_path, **way) for way in ways]
    assert ends == [Outcome.OK, Outcome.HOST_DENIED, Outcome.OK, Outcome.DEFERRED, Outcome.OK]


def test_the_server_is_told_neither_link_nor_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bytes] = []
    send = socket.send_fds

    def noted(control: socket.socket, buffers: list[bytes], *more: Any) -> int:
        told.extend(buffers)
        return send(control, buffers, *more)

    monkeypatch.setattr(socket, "send_fds", noted)
    url = "http://secret-page.example/x.mp4"
    fetch(url, tmp_path, allow=(), proxy="http://me:canary@localhost:9")
    assert len(told) == 2  # a fork, and its end
    assert [word for word in (b"canary", b"secret-page") if word in b"".join(told)] == []


def test_no_two_attempts_share_the_key_that_extractors_hand_options_on_by() -> None:
    code = "from yt_dlp.utils import smuggle_url; print(smuggle_url('http://x/', {}))"
    # Even if the server has used a key itself.
    load = f"from trailergenre.videos.ytdlp_patches import load_yt_dlp; load_yt_dlp(); {code}"
    of = program(warm_up=load)
    first, second = (run_fork(code, of=of).out.strip() for _ in range(2))
    assert len(first) == len(second) > 32
    assert first != second


_TO_A_FULL_DISK = """
import os
real = os.open
def to_full(path, *more, **others):
    return real("/dev/full" if str(path).endswith(".mp4") else path, *more, **others)
os.open = to_full
"""


def test_full_disk_fails_the_task_and_not_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_BOOTSTRAP", _TO_A_FULL_DISK + attempt._BOOTSTRAP)
    with answer({"/clip.mp4": content(b"x" * 200_000)}) as server:
        downloader = Downloader(
            LinksConfig(), NetworkConfig(allow=(server.address,)), LimitsConfig()
        )
        (link,) = as_links([f"http://{server.address}/clip.mp4"])
        with pytest.raises(OSError, match="set TMPDIR") as raised:
            downloader.fetch(link, tmp_path, Deadline(60))
    assert raised.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
