from __future__ import annotations

import errno
import io
import socket
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime

import pytest
from requests.exceptions import InvalidSchema
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import (
    CertificateVerifyError,
    HTTPError,
    NoSupportingHandlers,
    ProxyError,
    RequestError,
    TransportError,
)
from yt_dlp.socks import Socks5Error
from yt_dlp.utils import (
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.videos.error_classes import classify, defer_if_proxy_failed, find_disk_full

_TRUNCATED = Outcome.TRUNCATED_DOWNLOAD


def wrapped(cause: Exception) -> DownloadError:
    """As yt-dlp raises it: with the cause in `exc_info`."""
    return DownloadError(f"ERROR: {cause}", (type(cause), cause, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        (UnsupportedError("http://x/"), Outcome.UNSUPPORTED_SITE),
        (GeoRestrictedError("not in your country"), Outcome.UNAVAILABLE),
        (UserNotLive(), Outcome.LIVE),
        (ExtractorError("Private video", expected=True), Outcome.UNAVAILABLE),
        (ExtractorError("This video has been removed", expected=True), Outcome.UNAVAILABLE),
        (
            ExtractorError("Sign in to confirm you’re not a bot", expected=True),
            Outcome.THROTTLED,
        ),
        (ExtractorError("Join this channel to get access", expected=True), Outcome.UNAVAILABLE),
        (ExtractorError("Sign in to confirm your age.", expected=True), Outcome.UNAVAILABLE),
        (ExtractorError("only for registered users. Use --cookies"), Outcome.FORBIDDEN),
        (ExtractorError("Premieres in 3 hours", expected=True), Outcome.LIVE),
        (ExtractorError("This live event will begin in 5 minutes"), Outcome.LIVE),
        (ExtractorError("This live stream recording is not available."), Outcome.UNAVAILABLE),
        (ExtractorError("Your session has been rate-limited by YouTube"), Outcome.THROTTLED),
        (ExtractorError("This video is DRM protected"), Outcome.FORMAT_NOT_ALLOWED),
        (ExtractorError("Unable to extract data"), Outcome.UNSUPPORTED_SITE),
        (ExtractorError("Failed to read the webpage's message"), Outcome.UNSUPPORTED_SITE),
        (CertificateVerifyError(cause="self-signed"), Outcome.TLS),
        (TransportError(cause=socket.gaierror(-2, "Name or service not known")), Outcome.DNS),
        (TransportError(cause=ConnectionRefusedError(111, "refused")), Outcome.CONNECT),
        (TransportError("something else"), Outcome.CONNECT),
        (RequestError(cause=InvalidSchema("no adapters for 'file:///x'")), Outcome.REDIRECT),
        (RequestError("Failed to parse: http://[x"), Outcome.LINK_INVALID),
        (NoSupportingHandlers([], []), Outcome.SCHEME),
        (NoSupportingHandlers([], [UnicodeError("label too long")]), Outcome.LINK_INVALID),
    ],
)
def test_class_of_the_cause_decides(cause: Exception, outcome: Outcome) -> None:
    assert classify(wrapped(cause)).outcome is outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Got error: HTTP Error 404: Not Found. Giving up after 3 retries", Outcome.UNAVAILABLE),
        ("unable to download video data: HTTP Error 403: Forbidden", Outcome.FORBIDDEN),
        ("Got error: HTTP Error 503: Service Unavailable", Outcome.HTTP_5XX),
        ("Got error: 5 bytes read, 6 more expected", Outcome.TRUNCATED_DOWNLOAD),
        ("Got error: ('Connection broken: ConnectionResetError(104, 'x')')", _TRUNCATED),
        ("Got error: HTTPConnectionPool(host='x', port=80): Read timed out.", Outcome.STALLED),
        ("Got error: x: Failed to resolve 'x' ([Errno -2])", Outcome.DNS),
        ("Got error: Failed to establish a new connection: refused", Outcome.CONNECT),
        ("Got error: Connection to x timed out. (connect timeout=15)", Outcome.CONNECT),
        ("Got error: [SSL: CERTIFICATE_VERIFY_FAILED] expired", Outcome.TLS),
        ("unable to write data: [Errno 27] File too large", Outcome.TOO_LARGE),
        ("unable to write data: [Errno 28] No space left on device", Outcome.RESOURCE),
        ("fragment 1 not found, unable to continue", Outcome.UNAVAILABLE),
        ("what nobody has seen yet", Outcome.NO_FILE),
    ],
)
def test_text_decides_where_there_is_nothing_else(text: str, outcome: Outcome) -> None:
    assert classify(DownloadError(f"ERROR: [download] {text}")).outcome is outcome


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("m3u8 download detected but ffmpeg could not be found. Please install", "unusual"),
        ("file:// URLs are disabled by default. Use --enable-file-urls", "not http(s)"),
    ],
)
def test_advice_that_our_users_cannot_follow_is_left_out(text: str, ours: str) -> None:
    detail = classify(DownloadError(f"ERROR: {text}")).detail
    assert ours in detail
    assert "install" not in detail
    assert "--enable" not in detail


def answered(status: int, retry_after: str) -> ItemError:
    response = Response(io.BytesIO(b""), "http://x/", Message(), status=status, reason="Later")
    response.headers["Retry-After"] = retry_after
    return classify(wrapped(HTTPError(response)))


def asks_to_wait(value: str) -> float | None:
    return answered(429, value).retry_after_s


def test_wait_that_the_server_asks_for_may_be_seconds_or_a_date() -> None:
    assert asks_to_wait("7") == 7.0
    later = datetime.now(UTC) + timedelta(seconds=100)
    assert 50 < (asks_to_wait(format_datetime(later, usegmt=True)) or 0) <= 100
    assert asks_to_wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert asks_to_wait("Wed, 21 Oct 2015 07:28:00 -0000") == 0.0
    # Python parses the last three, but they are not possible dates.
    never = ("01 Jan 2024 00:00:00 +99999999999999999", "31 Dec 9999 23:59:59 -9999", "1 Jan 99999")
    for value in ("", "soon", "-5", "1e9", "²", *never):
        assert asks_to_wait(value) is None
    assert (asks_to_wait("Fri, 31 Dec 9999 23:59:59 GMT") or 0) > 1e9
    assert asks_to_wait("9" * 400) == float("inf")


def test_a_server_that_is_overloaded_and_says_for_how_long_is_not_out_of_order() -> None:
    assert answered(503, "60").outcome is Outcome.THROTTLED
    assert answered(503, "soon").outcome is Outcome.HTTP_5XX
    assert answered(500, "60").outcome is Outcome.HTTP_5XX


def test_own_errors_pass_through_whatever_wraps_them() -> None:
    own = ItemError(Outcome.TOO_LARGE, "larger than 5 bytes")
    assert classify(wrapped(own)) is own


def test_detail_keeps_the_sites_words_without_colour_or_plea() -> None:
    error = DownloadError(
        "\x1b[0;31mERROR:\x1b[0m [x] Private; please report this issue on a tracker"
    )
    assert classify(error).detail == "[x] Private"


def test_what_nobody_knows_is_a_fault_of_ours() -> None:
    assert classify(KeyError("surprise")).outcome is Outcome.INTERNAL


def test_only_our_own_disk_can_be_full() -> None:
    assert find_disk_full(DownloadError("No space left on device")) is None
    assert find_disk_full(OSError(errno.EFBIG, "File too large")) is None


def through_proxy(error: Exception) -> Outcome:
    return defer_if_proxy_failed(classify(error), error).outcome


def caused(cause: Exception) -> ProxyError:
    error = ProxyError(cause=cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (caused(ConnectionRefusedError(111, "refused")), Outcome.DEFERRED),
        (caused(socket.gaierror(-2, "Name or service not known")), Outcome.DEFERRED),
        (caused(OSError("Tunnel connection failed: 407 Authentication")), Outcome.DEFERRED),
        (caused(Socks5Error(0xFE)), Outcome.DEFERRED),
        # The proxy's reports about the site.
        (caused(OSError("Tunnel connection failed: 502 Bad Gateway")), Outcome.CONNECT),
        (caused(Socks5Error(0x05)), Outcome.CONNECT),
        (DownloadError("HTTP Error 404: Not Found"), Outcome.UNAVAILABLE),
    ],
)
def test_proxys_own_failures_put_a_link_off(error: Exception, outcome: Outcome) -> None:
    assert through_proxy(error) is outcome
