"""The download child: one request as JSON on stdin, one answer as JSON on stdout.

It is a fork of a server that `attempt` starts with `python -I` and that has run `warm_up`, so its
imports must stay few.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from trailergenre.base.errors import ItemError, one_line
from trailergenre.base.outcomes import Outcome
from trailergenre.videos import error_classes
from trailergenre.videos.credentials import list_secrets, redact
from trailergenre.videos.egress_guard import Guard, resolve_proxy
from trailergenre.videos.options import DownloadLimits, link_options
from trailergenre.videos.pacing import find_host
from trailergenre.videos.ytdlp_patches import load_yt_dlp


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    # yt-dlp prints to stdout in places.
    answer_stream, sys.stdout = sys.stdout, sys.stderr
    answer: dict[str, object] = {"outcome": Outcome.OK.value, "detail": ""}
    guard = None
    try:
        deno = find_deno()
        proxy = resolve_proxy(request["proxy"])
        guard = Guard(allow=frozenset(request["allow"]), proxy=proxy, program=deno)
        sys.addaudithook(guard.check)
        _download({**request, "deno": deno}, guard)
    except ItemError as error:
        hidden = list_secrets(proxy=request["proxy"], cookies=request["cookies"])
        answer = {
            "outcome": error.outcome.value,
            # Redacted before it is cut: half a secret would not be recognized.
            "detail": one_line(redact(error.text, hidden)),
            "retry_after_s": error.retry_after_s,
            "leads_to": error.leads_to,
        }
    except OSError as error:
        if error.errno not in error_classes.DISK_FULL:
            raise
        answer = {"errno": error.errno}
    answer["connections"] = guard.connections if guard else []
    answer["asked_at_s"] = guard.asked_at_s if guard else None
    json.dump(answer, answer_stream)
    answer_stream.flush()


def warm_up() -> Iterator[None]:
    """Load what every link needs, or end the server; then compile the patterns of 1,750 sites."""
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
            # The generic extractor asks every other one whether a page embeds its videos.
            with contextlib.suppress(extractor.StopExtraction, YoutubeDLError):
                list(extractor.extract_from_webpage(ydl, url, ""))
            yield


@cache
def find_deno() -> str:
    """Path of the JavaScript runtime that YouTube needs; the child's PATH is empty."""
    from deno import find_deno_bin

    return str(find_deno_bin())


def _download(request: Mapping[str, Any], guard: Guard) -> None:  # Any: JSON of our own parent
    hosts = request["hosts"]
    limits = DownloadLimits(
        max_file_bytes=request["max_file_bytes"],
        max_duration_s=request["max_duration_s"],
        max_requests=request["max_requests"],
        hosts=hosts,
        admitted={find_host(request["url"], hosts) or "", *request["leads_to"]},
    )
    try:
        options = link_options(request, limits, cookie_extractor=_cookie_extractor(request))
        with load_yt_dlp()(options) as ydl:
            ydl.before_request = limits.begin_request
            info = ydl.extract_info(request["url"], download=True)
    except BaseException as error:
        reason = (
            limits.reason or next(iter(guard.refusals), None) or error_classes.find_disk_full(error)
        )
        raise reason or _judge(error, has_proxy=bool(request["proxy"])) from error
    if limits.reason is not None:
        raise limits.reason
    if (info or {}).get("_type", "video") != "video":
        raise ItemError(Outcome.NOT_A_SINGLE_VIDEO, "the page lists several videos")


def _judge(error: BaseException, *, has_proxy: bool) -> ItemError:
    """Classify an error. A site's text can break the classification, which is an answer too."""
    try:
        judged = error_classes.classify(error)
        return error_classes.defer_if_proxy_failed(judged, error) if has_proxy else judged
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        return ItemError(Outcome.INTERNAL, f"{type(e).__name__}: {e}")


def _cookie_extractor(request: Mapping[str, Any]) -> str | None:
    """yt-dlp's name of the link's extractor, if it may have the cookies."""
    from yt_dlp.extractor import gen_extractor_classes

    if not request["cookies"]:
        return None
    # The generic extractor is the last one and accepts every link.
    name = next(
        str(extractor.IE_NAME)
        for extractor in gen_extractor_classes()
        if extractor.suitable(request["url"])
    )
    is_named = name.lower() in {site.lower() for site in request["cookie_sites"]}
    return name if is_named and name != "generic" else None
