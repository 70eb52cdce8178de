"""The download child: one request as JSON on stdin, one answer as JSON on stdout.

A fork of a server that `download.attempt` lets start with `python -I`, where `warm_up` has run; the
only module that imports yt_dlp. What yt-dlp
leaves open is closed here: other ways out than one HTTP client, programs besides one JavaScript
runtime, and options that a page hands to an extractor.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from trailergenre.base.errors import ItemError, one_line
from trailergenre.base.outcomes import Outcome
from trailergenre.videos.egress_guard import Guard, place_of
from trailergenre.videos.error_classes import classify
from trailergenre.videos.limits import DownloadLimits
from trailergenre.videos.machine_faults import FULL_DISK, blame_proxy, full_disk
from trailergenre.videos.options import link_options
from trailergenre.videos.redaction import scrub, secrets_of

if TYPE_CHECKING:
    import yt_dlp

_MAX_HOPS = 5
"""Redirects of one request, and pages that lead to pages; players behind pages take three."""

_UNWANTED = ("curl_cffi", "mutagen", "websockets")
"""Optional parts of yt-dlp that it shall not find: libcurl would connect past the audit hook, and
nobody here writes tags or speaks WebSocket, whose import takes a fifth of its start."""

_GENERIC = "generic"
"""yt-dlp's name of the extractor that takes what no other does."""

_PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    # yt-dlp prints to stdout in places; the answer needs it clean.
    answer_stream, sys.stdout = sys.stdout, sys.stderr
    answer: dict[str, object] = {"outcome": Outcome.OK.value, "detail": ""}
    guard = None
    try:
        deno = find_deno()
        guard = Guard(
            allow=frozenset(request["allow"]), proxy=_places_of(request["proxy"]), program=deno
        )
        sys.addaudithook(guard.check)
        _download({**request, "deno": deno}, guard)
    except ItemError as error:
        hidden = secrets_of(proxy=request["proxy"], cookies=request["cookies"])
        answer = {
            "outcome": error.outcome.value,
            # Scrubbed before it is folded and cut: half a secret would not be found.
            "detail": one_line(scrub(error.text, hidden)),
            "retry_after_s": error.retry_after_s,
        }
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        answer = {"errno": error.errno}
    answer["connections"] = guard.connections if guard else []
    answer["asked_at_s"] = guard.asked_at_s if guard else None
    json.dump(answer, answer_stream)
    answer_stream.flush()


def warm_up() -> Iterator[None]:
    """Load once what every link needs; what is missing ends the server.

    Returns:
        Steps that spare links the compiling of 1,750 sites' patterns.
    """
    find_deno()
    load_yt_dlp()
    return _compile_patterns()


def _compile_patterns() -> Iterator[None]:
    from yt_dlp.extractor import gen_extractor_classes
    from yt_dlp.utils import YoutubeDLError

    url = "http://example.org/x"
    for extractor in gen_extractor_classes():
        extractor.suitable(url)
        yield
    with load_yt_dlp()({"quiet": True, "cachedir": False}) as ydl:
        for extractor in ydl._ies.values():
            # What the generic extractor does with a page: whose video does it embed?
            with contextlib.suppress(extractor.StopExtraction, YoutubeDLError):
                list(extractor.extract_from_webpage(ydl, url, ""))
            yield


@cache
def find_deno() -> str:
    """YouTube needs a JavaScript runtime; PATH is empty, so it is named by its path."""
    from deno import find_deno_bin

    return str(find_deno_bin())


def _places_of(proxy: str | None) -> frozenset[str]:
    """The addresses of a proxy; empty where there is none.

    It is looked up this once: other addresses, that its name has later, would be denied.
    """
    if proxy is None:
        return frozenset()
    parts = urlsplit(proxy)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        detail = f"proxy: {parts.hostname} is not found: {error}"
        raise ItemError(Outcome.DEFERRED, detail) from error
    look_up = socket.getaddrinfo

    def pinned(host: str | None, *arguments: object, **more: object) -> object:
        if host == parts.hostname:
            return found
        return look_up(host, *arguments, **more)  # type: ignore[arg-type]

    socket.getaddrinfo = pinned  # type: ignore[assignment]
    return frozenset(place_of(address) for *_, address in found)


def _download(request: Mapping[str, Any], guard: Guard) -> None:  # Any: JSON of our own parent
    youtube_dl = load_yt_dlp()
    watch = DownloadLimits(
        max_file_bytes=request["max_file_bytes"], max_duration_s=request["max_duration_s"]
    )
    try:
        cookie_extractor = _cookie_extractor(request)
        options = link_options(request, watch, cookie_extractor=cookie_extractor)
        with youtube_dl(options) as ydl:
            info = ydl.extract_info(request["url"], download=True)
    except BaseException as error:
        reason = watch.reason or next(iter(guard.refusals), None) or full_disk(error)
        raise reason or _judge(error, has_proxy=bool(request["proxy"])) from error
    if watch.reason is not None:
        raise watch.reason
    if (info or {}).get("_type", "video") != "video":
        raise ItemError(Outcome.NOT_A_SINGLE_VIDEO, "the page lists several videos")


def _judge(error: BaseException, *, has_proxy: bool) -> ItemError:
    """The class of an error; what a site writes may also break whoever reads it."""
    try:
        judged = classify(error)
        return blame_proxy(judged, error) if has_proxy else judged
    # What reading of foreign text can come to.
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        return ItemError(Outcome.INTERNAL, f"{type(e).__name__}: {e}")


def _cookie_extractor(request: Mapping[str, Any]) -> str | None:
    """The name of the extractor that takes the link, where it may have the cookies."""
    if not request["cookies"]:
        return None
    name = _extractor_of(request["url"])
    is_meant = name.lower() in {site.lower() for site in request["cookie_sites"]}
    return name if is_meant and name != _GENERIC else None


def _extractor_of(url: str) -> str:
    """yt-dlp's name of the extractor that takes a link."""
    from yt_dlp.extractor import gen_extractor_classes

    # The generic one is the last and takes everything.
    return str(next(kind.IE_NAME for kind in gen_extractor_classes() if kind.suitable(url)))


@cache
def load_yt_dlp() -> type[yt_dlp.YoutubeDL]:
    """Import yt-dlp without plugins and native HTTP clients; what is missing ends the process."""
    sys.modules.update(dict.fromkeys(_UNWANTED))  # type: ignore[arg-type]
    import yt_dlp
    import yt_dlp.globals
    from yt_dlp.networking._requests import RequestsRH

    yt_dlp.globals.plugin_dirs.value = []
    _close_smuggling()
    _tie_programs()

    class BoundedRH(RequestsRH):  # type: ignore[misc]
        """The HTTP client, which follows fewer redirects than browsers do."""

        def _create_instance(self, *arguments: object, **more: object) -> object:
            session = super()._create_instance(*arguments, **more)
            session.max_redirects = _MAX_HOPS
            return session

    class Closed(yt_dlp.YoutubeDL):  # type: ignore[misc]
        """Knows one HTTP client: no ftp, no data links, no websockets. Does not go on for ever."""

        hops = 0

        def build_request_director(self, handlers: object, preferences: object = None) -> object:
            return super().build_request_director([BoundedRH], preferences)

        def extract_info(self, *arguments: object, **more: object) -> object:
            # Called again for every page that a page leads to.
            self.hops += 1
            if self.hops > _MAX_HOPS:
                raise ItemError(Outcome.REDIRECT, f"leads on for more than {_MAX_HOPS} pages")
            return super().extract_info(*arguments, **more)

    return Closed


def _close_smuggling() -> None:
    """Make the fragment by which extractors hand each other options unguessable.

    A page or redirect that writes yt-dlp's own `#__youtubedl_smuggle=` would set headers, ids and
    more of whatever extractor takes the link next.
    """

    def smuggle_url(url: str, data: dict[str, object]) -> str:
        url, earlier = unsmuggle_url(url, {})
        return url + smuggling_key() + quote(json.dumps({**data, **(earlier or {})}))

    def unsmuggle_url(
        smug_url: str, default: dict[str, object] | None = None
    ) -> tuple[str, dict[str, object] | None]:
        url, found, data = smug_url.partition(smuggling_key())
        return (url, json.loads(unquote(data))) if found else (smug_url, default)

    ours = {"smuggle_url": smuggle_url, "unsmuggle_url": unsmuggle_url}
    for name, module in list(sys.modules.items()):
        if name.startswith("yt_dlp"):
            for function in ours.keys() & vars(module).keys():
                setattr(module, function, ours[function])


def smuggling_key() -> str:
    """The fragment, of this process alone: what a link finds out is of no use to the next."""
    return _key_of(os.getpid())


@cache
def _key_of(pid: int) -> str:
    return f"#{secrets.token_hex(16)}="


def _tie_programs() -> None:
    """Let what yt-dlp starts die with this process, and see only this process's environment.

    Its own would hold the proxy's address, password included.
    """
    import yt_dlp.utils

    start = yt_dlp.utils.Popen.__init__

    def start_tied(self: object, *arguments: object, **more: object) -> None:
        environment = {**os.environ, "DENO_NO_UPDATE_CHECK": "1"}
        start(self, *arguments, **{**more, "env": environment, "preexec_fn": _die_with_parent()})

    yt_dlp.utils.Popen.__init__ = start_tied


def _die_with_parent() -> Callable[[], None] | None:
    """What a program runs before it begins; None where the system has no such signal."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the signal was armed
            os._exit(1)

    return arm
