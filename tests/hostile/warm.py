"""Download children that can be told what names lead to, and whom to believe.

Everything else is the real child's: its server, its `main`, its sandbox.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trailergenre
from trailergenre.base.config import LimitsConfig, NetworkConfig
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.sandbox.fork_client import fork_child
from trailergenre.videos.attempt import Attempt

_HOMES = [str(Path(trailergenre.__file__).parents[1]), str(Path(__file__).parents[1])]
_START = f"""
import sys
sys.path[:0] = {_HOMES!r}
from hostile.warm import run
from trailergenre.videos.child import warm_up
from trailergenre.base.sandbox.fork_server import serve
serve(run, warm_up())
"""


class WarmChild:
    """Answers requests."""

    def __init__(self, directory: Path) -> None:
        """Use a directory for what is downloaded."""
        self._directory = directory

    def fetch(
        self,
        url: str,
        *,
        allow: Sequence[str] = (),
        names: Mapping[str, Sequence[str]] | None = None,
        authority: Path | None = None,
    ) -> dict[str, Any]:
        """The answer of one download child.

        Args:
            url: what parse_link would have refused may stand here too.
            allow: `address:port` pairs that may be reached.
            names: host -> what it resolves to, the first time, the second ... and from then on.
            authority: a file of certificates that are believed besides the usual ones.
        """
        attempt = Attempt(NetworkConfig(), LimitsConfig(), None, None)
        with (
            tempfile.TemporaryDirectory(dir=self._directory) as name,
            tempfile.TemporaryFile() as stderr,
            fork_child(
                ["-c", _START],
                directory=Path(name),
                deadline=Deadline(60),
                stderr=stderr,
                env=attempt.child_environment(Path(name)),
                limits=attempt.child_limits(),
            ) as child,
        ):
            message = {
                "request": make_request(url, Path(name), allow=allow),
                "names": dict(names or {}),
                "authority": authority and str(authority),
            }
            child.stdin.write(json.dumps(message).encode())
            child.stdin.close()
            answer = child.stdout.read()
            if child.process.wait() != 0:
                return {"outcome": "none", "detail": f"the child ended with {child.process.wait()}"}
        return dict(json.loads(answer))


def make_request(url: str, directory: Path, *, allow: Sequence[str]) -> dict[str, Any]:
    """What the parent writes to a child's stdin."""
    for part in ("empty", "video"):
        (directory / part).mkdir()
    return {
        "url": url,
        "directory": str(directory / "video"),
        "empty": str(directory / "empty"),
        "name": "0" * 64,
        "max_file_bytes": LimitsConfig().max_file_bytes,
        "max_duration_s": LimitsConfig().max_duration_s,
        "max_requests": LimitsConfig().max_requests,
        "side_px": 299,
        "hosts": [],
        "leads_to": [],
        "allow": list(allow),
        "proxy": None,
        "cookies": None,
        "cookie_sites": [],
    }


def run() -> None:
    """Be the child; runs in a fork of the process that `_START` starts."""
    from trailergenre.videos.child import main

    message = json.load(sys.stdin)
    _set_names(message["names"])
    if message["authority"]:
        import certifi

        certifi.where = lambda: message["authority"]
    sys.stdin = io.StringIO(json.dumps(message["request"]))
    main()


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
