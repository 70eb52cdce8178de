"""The two closed lists of what can become of a row and of a link.

Every input row ends in one `RowOutcome`; every distinct ready link ends in one `Outcome`.
The tables in the documentation are printed from here.
"""

from __future__ import annotations

from enum import StrEnum


class RowOutcome(StrEnum):
    """What `prepare_dataset` decided about one input row."""

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
    RowOutcome.READY: "goes on to the download",
    RowOutcome.LINK_EMPTY: "the cell is empty or blank",
    RowOutcome.LINK_INVALID: "not a link, or one with a user name, a bad port or a bad host",
    RowOutcome.SCHEME_REFUSED: "neither http(s) nor a file under an allowed root",
    RowOutcome.HOST_DENIED: "the host is a private, loopback or otherwise denied address",
    RowOutcome.NOT_A_SINGLE_VIDEO: "a channel, user page, playlist or search",
    RowOutcome.DUPLICATE: "an earlier row has the same link for the same movie",
    RowOutcome.AMBIGUOUS: "the link serves several movies, or the title is several movies",
    RowOutcome.NO_LABEL: "no genres are known for the movie",
}


class Outcome(StrEnum):
    """What became of one distinct ready link."""

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
    # ours
    INTERNAL = "internal"

    @property
    def is_retryable(self) -> bool:
        """Whether another attempt in the same run may end differently."""
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
    Outcome.DEFERRED: "not tried, or to be tried again in a later run",
    Outcome.LINK_INVALID: "the downloader cannot read the link",
    Outcome.SCHEME: "leads to a scheme that is not http(s)",
    Outcome.HOST_DENIED: "leads to a private, loopback or otherwise denied address",
    Outcome.NOT_A_SINGLE_VIDEO: "a page with several videos, a playlist or a channel",
    Outcome.LIVE: "a live stream or a premiere to come",
    Outcome.UNSUPPORTED_SITE: "a page without a video that yt-dlp can find",
    Outcome.UNAVAILABLE: "removed, private, age- or region-restricted, 404 or 410",
    Outcome.FORBIDDEN: "401 or 403",
    Outcome.THROTTLED: "429, or the site asks whether we are a bot",
    Outcome.DNS: "the host's name does not resolve",
    Outcome.CONNECT: "no connection",
    Outcome.TLS: "the certificate is not valid",
    Outcome.HTTP_5XX: "the server failed",
    Outcome.REDIRECT: "too many redirects, or one to something that is not http(s)",
    Outcome.TRUNCATED_DOWNLOAD: "fewer bytes came than were announced",
    Outcome.STALLED: "no byte came for the socket timeout",
    Outcome.TIMEOUT: "the link's deadline passed",
    Outcome.TOO_LARGE: "larger than `limits.max_file_bytes`",
    Outcome.TOO_LONG: "longer than `limits.max_duration_s`, or over `limits.max_frames` frames",
    Outcome.NO_FILE: "the download ended without a file",
    Outcome.PATH: "not a regular file, or outside of its directory",
    Outcome.NOT_MEDIA: "the file is not a video container",
    Outcome.FORMAT_NOT_ALLOWED: "a container or codec that is not on the list",
    Outcome.NO_VIDEO: "no video stream",
    Outcome.DIMENSIONS: "more pixels a frame than `limits.max_pixels`",
    Outcome.DECODE: "the decoder found damage",
    Outcome.PARTIAL: "the video ends before its declared duration",
    Outcome.DECODER_CRASH: "the decoder was ended by a signal",
    Outcome.RESOURCE: "a memory, file-size or CPU limit was reached",
    Outcome.INTERNAL: "a fault of ours; the log has the traceback",
}
