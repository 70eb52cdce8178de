"""What the download child changes in yt-dlp (2026.7.4 and later), one function per change.

Every patch closes a way out of the child that no option of yt-dlp closes.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome

if TYPE_CHECKING:
    import yt_dlp
    from requests import PreparedRequest
    from yt_dlp.networking._requests import RequestsRH

_MAX_HOPS = 5
"""Redirects per request, and pages that lead to pages. Embedded players need three."""
_MAX_PAGE_BYTES = 8_000_000
"""Largest response that is read whole: a page, manifest or script. YouTube's player has 3 MB, and
yt-dlp takes 40 times the size of a page."""

_PR_SET_PDEATHSIG = 1  # of prctl(2)


@cache
def load_yt_dlp() -> type[yt_dlp.YoutubeDL]:
    """Import yt-dlp with all patches. If a part of it is missing, the process ends."""
    hide_optional_modules()
    disable_plugins()
    randomize_smuggling()
    confine_programs()
    return bound_requests()


def hide_optional_modules() -> None:
    """Let yt-dlp (`dependencies/__init__.py`) not find optional modules.

    `curl_cffi` is libcurl, whose connections the audit hook cannot see. `mutagen` writes tags and
    `websockets` takes a fifth of the start-up time; no download needs them.
    """
    unwanted = ("curl_cffi", "mutagen", "websockets")
    sys.modules.update(dict.fromkeys(unwanted))  # type: ignore[arg-type]


def disable_plugins() -> None:
    """Load no plugins (`yt_dlp/globals.py`); the option exists on the command line only."""
    import yt_dlp.globals

    yt_dlp.globals.plugin_dirs.value = []


def randomize_smuggling() -> None:
    """Replace `yt_dlp.utils.smuggle_url` and `unsmuggle_url`, also where they were imported.

    Extractors pass options to each other in a URL fragment, `#__youtubedl_smuggle=`. A page or
    redirect that writes this fragment could set headers, ids and more of the next extractor. A
    random key in place of the constant cannot be guessed.
    """
    import yt_dlp.utils  # noqa: F401 - fills sys.modules

    def smuggle_url(url: str, data: dict[str, object]) -> str:
        url, earlier = unsmuggle_url(url, {})
        return url + smuggling_key() + quote(json.dumps({**data, **(earlier or {})}))

    def unsmuggle_url(
        smug_url: str, default: dict[str, object] | None = None
    ) -> tuple[str, dict[str, object] | None]:
        url, key, data = smug_url.partition(smuggling_key())
        return (url, json.loads(unquote(data))) if key else (smug_url, default)

    ours = {"smuggle_url": smuggle_url, "unsmuggle_url": unsmuggle_url}
    for name, module in list(sys.modules.items()):
        if name.startswith("yt_dlp"):
            for function in ours.keys() & vars(module).keys():
                setattr(module, function, ours[function])


def smuggling_key() -> str:
    """The key of this process: what one link finds out is of no use to the next."""
    return _key_of(os.getpid())


@cache
def _key_of(pid: int) -> str:
    return f"#{secrets.token_hex(16)}="


def confine_programs() -> None:
    """Wrap `yt_dlp.utils.Popen.__init__`: programs die with this process and get its environment.

    yt-dlp would add the proxy's address with its password to the environment.
    """
    import yt_dlp.utils

    original = yt_dlp.utils.Popen.__init__

    def start(self: object, *arguments: object, **more: object) -> None:
        environment = {**os.environ, "DENO_NO_UPDATE_CHECK": "1"}
        original(self, *arguments, **{**more, "env": environment, "preexec_fn": _die_with_parent()})

    yt_dlp.utils.Popen.__init__ = start


def _die_with_parent() -> Callable[[], None] | None:
    """What a program runs before it starts; None on systems without such a signal."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the signal was armed
            os._exit(1)

    return arm


def bound_requests() -> type[yt_dlp.YoutubeDL]:
    """Subclass YoutubeDL: one HTTP client, and few pages that lead to each other.

    Without other request handlers there is no ftp, no data URL and no WebSocket.
    """
    import yt_dlp

    handler_class = bound_responses()

    class BoundedYoutubeDL(yt_dlp.YoutubeDL):  # type: ignore[misc]
        """YoutubeDL; `before_request` is called with the address of every HTTP request."""

        before_request: Callable[[str], None] = staticmethod(lambda url: None)
        hops = 0

        def build_request_director(self, handlers: object, preferences: object = None) -> object:
            director = super().build_request_director([handler_class], preferences)
            for handler in director.handlers.values():
                handler.before_request = self.before_request
            return director

        def extract_info(self, *arguments: object, **more: object) -> object:
            # Called again for every page that a page leads to.
            self.hops += 1
            if self.hops > _MAX_HOPS:
                raise ItemError(Outcome.REDIRECT, f"more than {_MAX_HOPS} pages lead to each other")
            return super().extract_info(*arguments, **more)

    return BoundedYoutubeDL


def bound_responses() -> type[RequestsRH]:
    """Subclass the HTTP client: few redirects, and no response that is large and read whole."""
    from yt_dlp.networking import _requests

    class BoundedResponse(_requests.RequestsResponseAdapter):  # type: ignore[misc]
        """A response; files are read in blocks, everything else whole."""

        def read(self, amt: int | None = None) -> bytes:
            if amt is not None:
                return bytes(super().read(amt))
            page = bytearray()
            while block := super().read(1 << 20):  # after decompression
                page += block
                if len(page) > _MAX_PAGE_BYTES:
                    self.close()
                    detail = f"a page is larger than {_MAX_PAGE_BYTES} bytes"
                    raise ItemError(Outcome.RESOURCE, detail)
            return bytes(page)

    class BoundedRH(_requests.RequestsRH):  # type: ignore[misc]
        """The HTTP client, with fewer redirects than browsers follow."""

        def _create_instance(self, *arguments: object, **more: object) -> object:
            session = super()._create_instance(*arguments, **more)
            session.max_redirects = _MAX_HOPS
            send = session.send

            def begin(request: PreparedRequest, **more: object) -> object:
                self.before_request(request.url)
                return send(request, **more)

            session.send = begin  # redirects call it, too
            return session

    _requests.RequestsResponseAdapter = BoundedResponse
    return BoundedRH
