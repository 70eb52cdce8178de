"""What is no link's fault: a full disk, and a proxy that failed."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from yt_dlp.networking.exceptions import ProxyError
from yt_dlp.socks import Socks5Error
from yt_dlp.utils import DownloadError

from lists import as_links
from servers import answer, content
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.outcomes import Outcome
from trailergenre.base.sandbox import Deadline
from trailergenre.videos import attempt
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.error_classes import classify
from trailergenre.videos.machine_faults import blame_proxy, full_disk

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


def test_only_our_own_disk_can_be_full() -> None:
    assert full_disk(DownloadError("No space left on device")) is None
    assert full_disk(OSError(errno.EFBIG, "File too large")) is None


def through_proxy(error: Exception) -> Outcome:
    return blame_proxy(classify(error), error).outcome


def caused(cause: Exception) -> ProxyError:
    error = ProxyError(cause=cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (caused(ConnectionRefusedError(111, "refused")), Outcome.DEFERRED),
        (caused(socket.gaierror(-2, "Name or service not known")), Outcome.DEFERRED),
        (caused(OSError("Tunnel connection failed: 407 Authentication")), Outcome.DEFERRED),
        (caused(Socks5Error(0xFE)), Outcome.DEFERRED),
        # What the proxy says of the site.
        (caused(OSError("Tunnel connection failed: 502 Bad Gateway")), Outcome.CONNECT),
        (caused(Socks5Error(0x05)), Outcome.CONNECT),
        (DownloadError("HTTP Error 404: Not Found"), Outcome.UNAVAILABLE),
    ],
)
def test_proxys_own_failures_put_a_link_off(error: Exception, outcome: Outcome) -> None:
    assert through_proxy(error) is outcome
