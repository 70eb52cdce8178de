"""The outcomes of rows and links, and which of them are retried.

Every input row ends in one `RowOutcome`, every distinct ready link in one `Outcome`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _WithMeaning(StrEnum):
    """A string with a meaning, for people."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member


class RowOutcome(_WithMeaning):
    """The result of `prepare` for one input row."""

    READY = "ready", "taken into the run"
    LINK_EMPTY = "link_empty", "the cell is empty or blank"
    LINK_INVALID = "link_invalid", "not a link, or one with a user name, an invalid port or host"
    SCHEME_REFUSED = "scheme_refused", "neither an http(s) link nor a file under an allowed root"
    HOST_DENIED = "host_denied", "the host is a private, loopback or otherwise denied address"
    NOT_A_SINGLE_VIDEO = "not_a_single_video", "a channel, user page, playlist or search"
    DUPLICATE = "duplicate", "an earlier row has the same link for the same movie"
    AMBIGUOUS = "ambiguous", "several movies share the link, or several movies have the title"
    NO_LABEL = "no_label", "the movie has no known genres"
    NO_ARRAY = "no_array", "external features: no array has the id of the row"


class Outcome(_WithMeaning):
    """The result of `featurize` for one distinct ready link."""

    OK = "ok", "features are stored"
    DEFERRED = "deferred", "not tried yet, or left for a later run"
    # download
    LINK_INVALID = "link_invalid", "the downloader cannot read the link"
    SCHEME = "scheme", "leads to a scheme other than http(s)"
    HOST_DENIED = "host_denied", "leads to a private, loopback or otherwise denied address"
    NOT_A_SINGLE_VIDEO = "not_a_single_video", "a page with several videos, a playlist or a channel"
    LIVE = "live", "a live stream or an upcoming premiere"
    UNSUPPORTED_SITE = "unsupported_site", "yt-dlp finds no video on the page"
    UNAVAILABLE = "unavailable", "removed, private, age- or region-restricted; HTTP 404 or 410"
    FORBIDDEN = "forbidden", "HTTP 401 or 403"
    THROTTLED = (
        "throttled",
        "the site asks to wait (HTTP 429; 503 with Retry-After), or suspects a bot",
    )
    DNS = "dns", "the host name does not resolve"
    CONNECT = "connect", "the connection failed"
    TLS = "tls", "the certificate is not valid"
    HTTP_5XX = "http_5xx", "the server reported an error"
    REDIRECT = "redirect", "too many redirects, or a redirect to a scheme other than http(s)"
    TRUNCATED_DOWNLOAD = "truncated_download", "the server sent fewer bytes than it announced"
    STALLED = "stalled", "no data arrived within the socket timeout"
    TIMEOUT = "timeout", "the link's deadline passed"
    TOO_LARGE = "too_large", "larger than `limits.max_file_bytes`"
    TOO_LONG = "too_long", "longer than `limits.max_duration_s`, or over `limits.max_frames` frames"
    NO_FILE = "no_file", "the download ended without a file"
    PATH = "path", "not a regular file, or outside its directory"
    # decode
    NOT_MEDIA = "not_media", "the file is not a video container"
    FORMAT_NOT_ALLOWED = "format_not_allowed", "a container, codec or pictures not supported"
    NO_VIDEO = "no_video", "the file has no video stream"
    DIMENSIONS = "dimensions", "frames have more pixels than `limits.max_pixels`"
    DECODE = "decode", "the video is damaged"
    PARTIAL = "partial", "pictures are missing: the file is cut, or goes on in another track"
    DECODER_CRASH = "decoder_crash", "a signal ended the decoder"
    RESOURCE = (
        "resource",
        "a limit on memory, CPU time, requests or size was reached",
    )
    # external features
    BAD_ARRAY = "bad_array", "the array is damaged, empty, or of another width or type"
    # our own
    INTERNAL = "internal", "a bug in trailergenre; the log has the traceback"

    @property
    def is_retryable(self) -> bool:
        """Whether another attempt in the same run may succeed."""
        by_server = {Outcome.THROTTLED, Outcome.HTTP_5XX, Outcome.TRUNCATED_DOWNLOAD}
        return self in by_server | {Outcome.DNS, Outcome.CONNECT, Outcome.STALLED}
