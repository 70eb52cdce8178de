r"""Proxy address and cookies -> the texts that must stand in no message.

Standard library only: the download child imports this, and shall hold little.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote, urlsplit

_SHOWN = "***"
_BOTH_QUOTES = "'\""
"""Within text that has both, repr escapes one of them."""

_WRITERS: tuple[Callable[[str], str], ...] = (
    repr,
    ascii,
    json.dumps,
    lambda text: repr(text.encode())[1:],
)

_MIN_COOKIE_CHARS = 8
"""Shorter values of cookies are flags and not secrets; hiding each "1" would hide the reason."""


def secrets_of(*, proxy: str | None, cookies: str | None) -> list[str]:
    """Every spelling of what is secret, also within a `repr` or JSON, the longest first.

    Args:
        proxy: its address with user name and password.
        cookies: content of a cookie file in Netscape's format.
    """
    found: set[str] = set()
    userinfo = urlsplit(proxy or "").netloc.rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}"
    if userinfo:
        found |= {userinfo, plain, base64.b64encode(plain.encode()).decode()}
    values = [password or user]
    for line in (cookies or "").splitlines():
        value = line.rpartition("\t")[2].strip()
        if len(value) >= _MIN_COOKIE_CHARS and "\t" in line:
            values.append(value)
    for value in values:
        found |= {value, unquote(value), quote(unquote(value)), quote(unquote(value), safe="")}
    found |= {escaped for spelling in found for escaped in _escaped(spelling)}
    return sorted(found - {""}, key=len, reverse=True)


def _escaped(text: str) -> Iterator[str]:
    """The text as a message holds it that quotes it, e.g. that of a `KeyError`."""
    for write in _WRITERS:
        yield write(text)[1:-1]
        yield write(_BOTH_QUOTES + text).removeprefix(write(_BOTH_QUOTES)[:-1])[:-1]


def scrub(text: str, secrets: list[str]) -> str:
    """Hide every secret in a text.

    >>> scrub("from me:p@ss", secrets_of(proxy="http://me:p%40ss@proxy:80", cookies=None))
    'from ***'
    """
    for secret in secrets:
        text = text.replace(secret, _SHOWN)
    return text
