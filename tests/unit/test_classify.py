from __future__ import annotations

import socket

import pytest
from yt_dlp.networking.exceptions import CertificateVerifyError, TransportError
from yt_dlp.utils import (
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)

from trailergenre.download.classify import classify
from trailergenre.errors import ItemError
from trailergenre.outcomes import Outcome


def wrapped(cause: Exception) -> DownloadError:
    """As yt-dlp hands it out: the cause in `exc_info`."""
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
        (ExtractorError("Unable to extract data"), Outcome.UNSUPPORTED_SITE),
        (CertificateVerifyError(cause="self-signed"), Outcome.TLS),
        (TransportError(cause=socket.gaierror(-2, "Name or service not known")), Outcome.DNS),
        (TransportError(cause=ConnectionRefusedError(111, "refused")), Outcome.CONNECT),
        (TransportError("something else"), Outcome.CONNECT),
    ],
)
def test_class_of_the_cause_decides(cause: Exception, outcome: Outcome) -> None:
    assert classify(wrapped(cause)).outcome is outcome


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
