"""yt-dlp's exceptions to outcomes: by class name and HTTP status, else by text.

Also finds the errors that are not the link's fault: a full disk, and a proxy that failed.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Only our own files can cause these: no server can make a system call of ours fail so."""

_MIN_SOCKS_REFUSAL = 0xFE
"""yt-dlp's SOCKS codes for a refused login. Smaller ones are about the site."""

_BY_STATUS = {
    401: Outcome.FORBIDDEN,
    403: Outcome.FORBIDDEN,
    404: Outcome.UNAVAILABLE,
    407: Outcome.CONNECT,  # from a proxy; the site was never reached
    410: Outcome.UNAVAILABLE,
    429: Outcome.THROTTLED,
}

_Table = tuple[tuple[str, Outcome], ...]

# In order: the first line with a class from the chain of causes decides.
_BY_CLASS: _Table = (
    ("CertificateVerifyError SSLError", Outcome.TLS),
    ("IncompleteRead ContentTooShortError", Outcome.TRUNCATED_DOWNLOAD),
    ("gaierror NameResolutionError", Outcome.DNS),
    # Links are http(s), so only a redirect can lead elsewhere.
    ("InvalidSchema MissingSchema", Outcome.REDIRECT),
    ("UnsupportedError", Outcome.UNSUPPORTED_SITE),
    ("UserNotLive", Outcome.LIVE),
    ("GeoRestrictedError", Outcome.UNAVAILABLE),
    ("UnavailableVideoError", Outcome.RESOURCE),
    ("NoSupportingHandlers", Outcome.SCHEME),
    ("ConnectionRefusedError NewConnectionError", Outcome.CONNECT),
    ("ConnectTimeout ConnectTimeoutError", Outcome.CONNECT),
    ("TimeoutError ReadTimeout ReadTimeoutError", Outcome.STALLED),
    ("ConnectionResetError RemoteDisconnected", Outcome.TRUNCATED_DOWNLOAD),
    ("MemoryError", Outcome.RESOURCE),
)

# In order, for errors without a class of their own: of yt-dlp's requests, and the sites' messages.
_BY_TEXT: _Table = (
    (r"not a bot|too many requests|rate.?limit", Outcome.THROTTLED),
    (r"is not a valid url|invalid url|no host", Outcome.LINK_INVALID),
    (r"certificate verify failed|\bssl:", Outcome.TLS),
    (r"\d+ bytes read|incompleteread", Outcome.TRUNCATED_DOWNLOAD),
    (r"connection (broken|reset|aborted)|remotedisconnected", Outcome.TRUNCATED_DOWNLOAD),
    (r"failed to resolve|name resolution|name or service not known", Outcome.DNS),
    (r"connection refused|new connection|connection to .* timed out", Outcome.CONNECT),
    (r"timed? ?out", Outcome.STALLED),
    (r"did not get any data blocks|file is empty", Outcome.NO_FILE),
    (r"file too large", Outcome.TOO_LARGE),
    (r"no space left|unable to write data|unable to open for writing", Outcome.RESOURCE),
    (r"requested format is not available|\bdrm\b|ffmpeg", Outcome.FORMAT_NOT_ALLOWED),
    (r"recording is not available", Outcome.UNAVAILABLE),
    (r"live event|premieres? in|live stream", Outcome.LIVE),
    (r"file:// (scheme|urls)|url scheme|unknown url type", Outcome.SCHEME),
    (
        r"unavailable|private|removed|deleted|terminated|\byour age\b|\bage.restricted"
        r"|not available|country|copyright|members.only|join this channel|requires payment"
        r"|fragment \d+ not found",
        Outcome.UNAVAILABLE,
    ),
    (r"\bregistered users|\blog ?in\b|\blogged in\b|\bsign in\b", Outcome.FORBIDDEN),
    (r"no video formats found|no video could be found|unable to extract", Outcome.UNSUPPORTED_SITE),
)

# The fallback if neither a class above nor the text decides.
_BY_BASE_CLASS: _Table = (
    ("TransportError", Outcome.CONNECT),
    ("ExtractorError", Outcome.UNSUPPORTED_SITE),
    # A page or playlist leads to something that is not a link.
    ("RequestError ValueError", Outcome.LINK_INVALID),
    ("DownloadError", Outcome.NO_FILE),
)

# Details that replace yt-dlp's, whose advice our users cannot follow.
_DETAILS: tuple[tuple[Outcome, str, str], ...] = (
    (Outcome.FORMAT_NOT_ALLOWED, r"ffmpeg", "the playlist is live, encrypted or otherwise unusual"),
    (Outcome.SCHEME, r"file://|url scheme", "leads to a link that is not http(s)"),
    (Outcome.REDIRECT, r"connection adapters", "redirects to a link that is not http(s)"),
    (Outcome.TOO_LARGE, r"file too large", "larger than limits.max_file_bytes"),
)


def classify(error: BaseException) -> ItemError:
    """Classify an exception of yt-dlp; the site's message becomes the detail."""
    chain = list(causes_of(error))
    if ours := next((cause for cause in chain if isinstance(cause, ItemError)), None):
        return ours
    broken = [inner for cause in chain for inner in getattr(cause, "unexpected_errors", ())]
    detail = _detail(broken[0] if broken else error)
    for cause in chain:
        status = getattr(cause, "status", None)
        if type(cause).__name__ == "HTTPError" and isinstance(status, int):
            if getattr(cause, "redirect_loop", False) or 300 <= status < 400:
                return ItemError(Outcome.REDIRECT, detail)
            retry_after_s = _retry_after_s(cause)
            is_asking = status == 503 and retry_after_s is not None
            outcome = Outcome.THROTTLED if is_asking else _from_status(status)
            return ItemError(outcome, detail, retry_after_s=retry_after_s)
    names = {name for cause in chain for name in _class_names(cause)}
    found = _from_names(names, _BY_CLASS) or _from_text(detail)
    found = found or _from_names(names, _BY_BASE_CLASS)
    if found is None:
        return ItemError(Outcome.INTERNAL, f"{type(error).__name__}: {detail}")
    for kind, theirs, text in _DETAILS:
        if found is kind and re.search(theirs, detail, re.IGNORECASE):
            detail = text
    return ItemError(found, detail)


def _from_names(names: set[str], table: _Table) -> Outcome | None:
    return next((outcome for classes, outcome in table if names & set(classes.split())), None)


def _from_text(detail: str) -> Outcome | None:
    if status := re.search(r"HTTP Error (\d{3})", detail):
        return _from_status(int(status[1]))
    matching = (kind for pattern, kind in _BY_TEXT if re.search(pattern, detail, re.IGNORECASE))
    return next(matching, None)


def _from_status(status: int) -> Outcome:
    return Outcome.HTTP_5XX if status >= 500 else _BY_STATUS.get(status, Outcome.UNAVAILABLE)


def _retry_after_s(cause: BaseException) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date."""
    headers = getattr(getattr(cause, "response", None), "headers", None) or {}
    value = str(headers.get("Retry-After", "")).strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        # A date without a time zone ("-0000") is UTC.
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date
        return None


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error and all its causes, including yt-dlp's `cause` and `exc_info`."""
    queue, seen = [error], set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        exc_info = getattr(current, "exc_info", None)
        linked = [
            current.__cause__,
            current.__context__,
            getattr(current, "cause", None),
            getattr(current, "reason", None),
            exc_info[1] if isinstance(exc_info, tuple) else None,
            *getattr(current, "unexpected_errors", ()),
        ]
        queue += [link for link in linked if isinstance(link, BaseException)]


def _class_names(error: BaseException) -> list[str]:
    # With unexpected errors, NoSupportingHandlers does not mean that the scheme is unknown.
    has_unexpected = bool(getattr(error, "unexpected_errors", None))
    return [kind.__name__ for kind in type(error).__mro__[has_unexpected:]]


def _detail(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    # Cut what is not about the link: yt-dlp's request for bug reports, repeated causes, addresses.
    text = text.split("; please report this issue")[0]
    text = re.sub(r" \(caused by (<HTTPError|\w*(Transport|SSL|Verify)Error\().*", "", text)
    text = re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?| \(_ssl\.c:\d+\)", "", text)
    return text.removeprefix("ERROR: ") or type(error).__name__


def find_disk_full(error: BaseException) -> OSError | None:
    """The disk's error among the causes of an error; None if the disk is not full."""
    causes = (cause for cause in causes_of(error) if isinstance(cause, OSError))
    return next((cause for cause in causes if cause.errno in DISK_FULL), None)


def defer_if_proxy_failed(judged: ItemError, error: BaseException) -> ItemError:
    """Defer a link if the proxy failed, not the site: `judged` disregards that there is a proxy.

    Failed names and connections are the proxy's, except those that it reports about the site.
    """
    if judged.outcome not in {Outcome.DNS, Outcome.CONNECT}:
        return judged
    is_tunnel_report = re.search(r"tunnel connection failed: (?!407)", judged.text, re.IGNORECASE)
    is_socks_report = any(
        type(cause).__name__ == "Socks5Error" and (cause.args or (0,))[0] < _MIN_SOCKS_REFUSAL
        for cause in causes_of(error)
    )
    if is_tunnel_report or is_socks_report:
        return judged
    return ItemError(Outcome.DEFERRED, f"proxy: {judged.text}")
