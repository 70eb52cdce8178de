"""Download children without their start: one process that has imported yt-dlp forks for each.

Everything from the request on stdin to the answer on stdout is the real child's `main`. Its
resolver can be told what names lead to, and its trust whom to believe.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import deno

import trailergenre
from trailergenre.config import LimitsConfig

_TEST_ROOT = str(Path(__file__).parents[1])


class WarmChild:
    """Answers one request at a time."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        """Use a process that runs `_serve`."""
        self._process = process
        self._directory = directory
        self._lock = threading.Lock()

    def fetch(
        self,
        url: str,
        *,
        allow: Sequence[str] = (),
        names: Mapping[str, Sequence[str]] | None = None,
        authority: Path | None = None,
        max_file_bytes: int = LimitsConfig().max_file_bytes,
    ) -> dict[str, Any]:
        """The answer of one download child.

        Args:
            url: what parse_link would have refused may stand here too.
            allow: `address:port` pairs that may be reached.
            names: host -> what it resolves to, the first time, the second ... and from then on.
            authority: a file of certificates that are believed besides the usual ones.
            max_file_bytes: as `limits.max_file_bytes`.
        """
        with tempfile.TemporaryDirectory(dir=self._directory) as name:
            request = make_request(url, Path(name), allow=allow, max_file_bytes=max_file_bytes)
            message = {
                "request": request,
                "names": dict(names or {}),
                "authority": authority and str(authority),
            }
            assert self._process.stdin is not None and self._process.stdout is not None
            with self._lock:
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()
                return dict(json.loads(self._process.stdout.readline()))


def make_request(
    url: str, directory: Path, *, allow: Sequence[str], max_file_bytes: int
) -> dict[str, Any]:
    """What the parent writes to a child's stdin."""
    for part in ("empty", "video"):
        (directory / part).mkdir()
    return {
        "url": url,
        "directory": str(directory / "video"),
        "empty": str(directory / "empty"),
        "name": "0" * 64,
        "max_file_bytes": max_file_bytes,
        "max_duration_s": LimitsConfig().max_duration_s,
        "allow": list(allow),
        "proxy": None,
        "cookies": None,
        "cookie_sites": [],
        "deno": str(deno.find_deno_bin()),
    }


@contextlib.contextmanager
def warm_child(directory: Path) -> Iterator[WarmChild]:
    """Run the process while the block runs."""
    homes = [str(Path(trailergenre.__file__).parents[1]), _TEST_ROOT]
    start = f"import sys; sys.path[:0] = {homes!r}; from hostile.warm import serve; serve()"
    with (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={"PATH": "/nowhere", "HOME": str(directory), "LANG": "C.UTF-8"},
        )
    try:
        yield WarmChild(process, directory)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def serve() -> None:
    """Fork for every line of stdin; runs in the process that `warm_child` starts."""
    _warm_up()
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            _answer(json.loads(line))
        _, code = os.waitpid(pid, 0)
        if code:
            os.write(1, b'{"outcome": "none", "detail": "the fork ended with %d"}\n' % code)


def _warm_up() -> None:
    """Do once what costs a child most of its time: imports, and the pattern of every site."""
    import yt_dlp
    from yt_dlp.extractor import gen_extractor_classes
    from yt_dlp.networking import _requests

    from trailergenre.download import child

    assert child and _requests
    for extractor in gen_extractor_classes():
        extractor.suitable("http://example.org/x.mp4")
    with yt_dlp.YoutubeDL({"quiet": True}) as youtube_dl:
        generic = youtube_dl.get_info_extractor("Generic")
        # Asks every site's extractor whether the page embeds one of its videos.
        assert list(generic._extract_embeds("http://example.org/", "<html></html>")) == []
    # Collecting garbage in a fork would copy all of it.
    gc.freeze()


def _answer(message: dict[str, Any]) -> None:
    """Be the child, up to the end of the process; a traceback is no answer."""
    from trailergenre.download.child import main

    _set_names(message["names"])
    if message["authority"]:
        import certifi

        certifi.where = lambda: message["authority"]
    sys.stdin = io.StringIO(json.dumps(message["request"]))
    code = 1
    try:
        main()
        # The answer is one JSON document without an end of its line.
        os.write(1, b"\n")
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def _set_names(names: dict[str, list[str]]) -> None:
    """Resolve these names in turn to their addresses; the last one stays."""
    import socket

    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **more: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else str(host)
        known = names.get(text.lower().removesuffix("."))
        if known:
            host = known.pop(0) if len(known) > 1 else known[0]
        return real(host, *arguments, **more)

    socket.getaddrinfo = getaddrinfo
