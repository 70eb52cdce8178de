"""The outcomes of rows and links, and which of them are retried.

Every input row ends in one `RowOutcome`, every distinct ready link in one `Outcome`.
"""

from __future__ import annotations

from enum import StrEnum


class RowOutcome(StrEnum):
    """The result of `prepare_dataset` for one input row."""

    READY = "ready"
    LINK_EMPTY = "link_empty"
    LINK_INVALID = "link_invalid"
    SCHEME_REFUSED = "scheme_refused"
    HOST_DENIED = "host_denied"
    NOT_A_SINGLE_VIDEO = "not_a_single_video"
    DUPLICATE = "duplicate"
    AMBIGUOUS = "ambiguous"
    NO_LABEL = "no_label"


ROW_OUTCOME_HELP: dict[RowOutcome, str] = {
    RowOutcome.READY: "passed on to the download",
    RowOutcome.LINK_EMPTY: "the cell is empty or blank",
    RowOutcome.LINK_INVALID: "not a link, or one with a user name, an invalid port or host",
    RowOutcome.SCHEME_REFUSED: "neither an http(s) link nor a file under an allowed root",
    RowOutcome.HOST_DENIED: "the host is a private, loopback or otherwise denied address",
    RowOutcome.NOT_A_SINGLE_VIDEO: "a channel, user page, playlist or search",
    RowOutcome.DUPLICATE: "an earlier row has the same link for the same movie",
    RowOutcome.AMBIGUOUS: "several movies share the link, or several movies have the title",
    RowOutcome.NO_LABEL: "the movie has no known genres",
}


class Outcome(StrEnum):
    """The result of `featurize` for one distinct ready link."""

    OK = "ok"
    DEFERRED = "deferred"
    # download
    LINK_INVALID = "link_invalid"
    SCHEME = "scheme"
    HOST_DENIED = "host_denied"
    NOT_A_SINGLE_VIDEO = "not_a_single_video"
    LIVE = "live"
    UNSUPPORTED_SITE = "unsupported_site"
    UNAVAILABLE = "unavailable"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    HTTP_5XX = "http_5xx"
    REDIRECT = "redirect"
    TRUNCATED_DOWNLOAD = "truncated_download"
    STALLED = "stalled"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    NO_FILE = "no_file"
    PATH = "path"
    # decode
    NOT_MEDIA = "not_media"
    FORMAT_NOT_ALLOWED = "format_not_allowed"
    NO_VIDEO = "no_video"
    DIMENSIONS = "dimensions"
    DECODE = "decode"
    PARTIAL = "partial"
    DECODER_CRASH = "decoder_crash"
    RESOURCE = "resource"
    # our own
    INTERNAL = "internal"

    @property
    def is_retryable(self) -> bool:
        """Whether another attempt in the same run may succeed."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        Outcome.THROTTLED,
        Outcome.DNS,
        Outcome.CONNECT,
        Outcome.HTTP_5XX,
        Outcome.TRUNCATED_DOWNLOAD,
        Outcome.STALLED,
    }
)

OUTCOME_HELP: dict[Outcome, str] = {
    Outcome.OK: "features are stored",
    Outcome.DEFERRED: "not tried yet, or left for a later run",
    Outcome.LINK_INVALID: "the downloader cannot read the link",
    Outcome.SCHEME: "leads to a scheme other than http(s)",
    Outcome.HOST_DENIED: "leads to a private, loopback or otherwise denied address",
    Outcome.NOT_A_SINGLE_VIDEO: "a page with several videos, a playlist or a channel",
    Outcome.LIVE: "a live stream or an upcoming premiere",
    Outcome.UNSUPPORTED_SITE: "yt-dlp finds no video on the page",
    Outcome.UNAVAILABLE: "removed, private, age- or region-restricted; HTTP 404 or 410",
    Outcome.FORBIDDEN: "HTTP 401 or 403",
    Outcome.THROTTLED: "HTTP 429, or the site asks for proof that the client is no bot",
    Outcome.DNS: "the host name does not resolve",
    Outcome.CONNECT: "the connection failed",
    Outcome.TLS: "the certificate is not valid",
    Outcome.HTTP_5XX: "the server reported an error",
    Outcome.REDIRECT: "too many redirects, or a redirect to a scheme other than http(s)",
    Outcome.TRUNCATED_DOWNLOAD: "the server sent fewer bytes than it announced",
    Outcome.STALLED: "no data arrived within the socket timeout",
    Outcome.TIMEOUT: "the link's deadline passed",
    Outcome.TOO_LARGE: "larger than `limits.max_file_bytes`",
    Outcome.TOO_LONG: "longer than `limits.max_duration_s`, or over `limits.max_frames` frames",
    Outcome.NO_FILE: "the download ended without a file",
    Outcome.PATH: "not a regular file, or outside its directory",
    Outcome.NOT_MEDIA: "the file is not a video container",
    Outcome.FORMAT_NOT_ALLOWED: "the container or codec is not on the list of allowed formats",
    Outcome.NO_VIDEO: "the file has no video stream",
    Outcome.DIMENSIONS: "frames have more pixels than `limits.max_pixels`",
    Outcome.DECODE: "the video is damaged",
    Outcome.PARTIAL: "the video ends before its declared duration",
    Outcome.DECODER_CRASH: "a signal ended the decoder",
    Outcome.RESOURCE: "a memory, file-size or CPU limit was reached",
    Outcome.INTERNAL: "a bug in trailergenre; the log has the traceback",
}
