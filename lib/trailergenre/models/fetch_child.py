"""The child that downloads one file: a request as JSON on stdin, the file's bytes on stdout."""

from __future__ import annotations

import json
import sys
import urllib.request

from trailergenre.base.errors import ItemError
from trailergenre.videos.egress_guard import Guard, resolve_proxy

_TIMEOUT_S = 30.0
_COPY_BYTES = 1 << 20


def main() -> None:
    """Answer the request; without success, the last line of stderr says why."""
    request = json.load(sys.stdin)
    try:
        proxy = resolve_proxy(request["proxy"])
        guard = Guard(allow=frozenset(request["allow"]), proxy=proxy, program="")
        sys.addaudithook(guard.check)
        try:
            _copy(request["url"], request["proxy"])
        except (OSError, ValueError) as error:
            sys.exit(guard.refusals[0].text if guard.refusals else str(error))
    except ItemError as error:
        sys.exit(error.text)


def _copy(url: str, proxy: str | None) -> None:
    opener = urllib.request.OpenerDirector()
    # Not all that urllib knows: a redirect must not lead to ftp, file or data.
    for handler in (
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    with opener.open(url, timeout=_TIMEOUT_S) as response:
        while piece := response.read(_COPY_BYTES):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
