"""What yt-dlp ended with -> whether this machine or its proxy is to blame, and not the link.

Such an end must not be kept as what became of the link. Works on class names, as `classify` does.
"""

from __future__ import annotations

import errno
import re

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.videos.error_classes import causes_of

FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Of our own files alone: no server can make a system call of ours end so."""

_MIN_SOCKS_REFUSAL = 0xFE
"""yt-dlp's numbers for user name and password; smaller ones say what became of the site."""


def full_disk(error: BaseException) -> OSError | None:
    """The error of the disk that another error came from; None where the disk is not full."""
    for cause in causes_of(error):
        if isinstance(cause, OSError) and cause.errno in FULL_DISK:
            return cause
    return None


def blame_proxy(judged: ItemError, error: BaseException) -> ItemError:
    """Put a link off where the proxy failed, through which everything is fetched.

    Args:
        judged: what the error would mean without a proxy.
        error: of yt-dlp. All names and connections are the proxy's own, besides those that it
            reports to have tried itself.
    """
    if judged.outcome not in {Outcome.DNS, Outcome.CONNECT}:
        return judged
    is_report = re.search(r"tunnel connection failed: (?!407)", judged.text, re.IGNORECASE)
    is_socks_report = any(
        type(cause).__name__ == "Socks5Error" and (cause.args or (0,))[0] < _MIN_SOCKS_REFUSAL
        for cause in causes_of(error)
    )
    if is_report or is_socks_report:
        return judged
    return ItemError(Outcome.DEFERRED, f"proxy: {judged.text}")
