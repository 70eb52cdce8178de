"""The proxy's address and the cookies: read on each machine that downloads, never sent to another.

They reach a download child through a pipe, and are redacted from every message. The child imports
this module, so it imports little.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from trailergenre.base.errors import ConfigError

if TYPE_CHECKING:
    from trailergenre.base.config import NetworkConfig

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_COOKIE_HEADER = re.compile(r"#( Netscape)? HTTP Cookie File")
_MIN_COOKIE_CHARS = 8
"""Shorter cookie values are flags; hiding every "1" would hide the message."""

_BOTH_QUOTES = "'\""
"""In a text with both quotes, repr escapes one of them."""
_QUOTING: tuple[Callable[[str], str], ...] = (
    repr,
    ascii,
    json.dumps,
    lambda text: repr(text.encode())[1:],
)


def read_proxy(network: NetworkConfig) -> str | None:
    """The proxy's address with user name and password; None if none is configured."""
    variable = network.proxy_variable
    if variable is None:
        return None
    address = os.environ.get(variable, "").strip()
    what = f"a proxy address scheme://host:port, the scheme one of {', '.join(_PROXY_SCHEMES)}"
    if not address:
        raise ConfigError(f"network.proxy_variable: {variable} is not set. Set it to {what}.")
    try:
        parts = urlsplit(address)
        is_valid = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        is_valid = False
    if not is_valid:
        # The value is not shown: it may be a password.
        raise ConfigError(f"{variable} is not {what}.")
    return address


def read_cookies(network: NetworkConfig) -> str | None:
    """The content of the cookie file; None if none is configured."""
    if network.cookie_file is None:
        return None
    if "generic" in {site.lower() for site in network.cookie_sites}:
        raise ConfigError(
            "network.cookie_sites must not contain 'generic', which means every other site. Name "
            "the sites that the cookies belong to."
        )
    path = Path(network.cookie_file).expanduser()
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The cookie file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        content = ""
    first, *lines = content.splitlines() or [""]
    # http.cookiejar would quote the file in its errors.
    if not _COOKIE_HEADER.match(first) or not any(line.count("\t") == 6 for line in lines):
        raise ConfigError(
            f"The cookie file {path} is not in Netscape cookie format, which starts with "
            "'# Netscape HTTP Cookie File'. Export it with a browser add-on for that format."
        )
    return content


def list_secrets(*, proxy: str | None, cookies: str | None) -> list[str]:
    """Every spelling of every secret, also as quoted by `repr` or JSON, longest first."""
    secrets: set[str] = set()
    userinfo = urlsplit(proxy or "").netloc.rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}"
    if userinfo:
        secrets |= {userinfo, plain, base64.b64encode(plain.encode()).decode()}
    values = [password or user]
    for line in (cookies or "").splitlines():
        value = line.rpartition("\t")[2].strip()
        if len(value) >= _MIN_COOKIE_CHARS and "\t" in line:
            values.append(value)
    for value in values:
        secrets |= {value, unquote(value), quote(unquote(value)), quote(unquote(value), safe="")}
    secrets |= {quoted for spelling in secrets for quoted in _quoted(spelling)}
    return sorted(secrets - {""}, key=len, reverse=True)


def _quoted(text: str) -> Iterator[str]:
    """The text as messages quote it, e.g. that of a `KeyError`."""
    for write in _QUOTING:
        yield write(text)[1:-1]
        yield write(_BOTH_QUOTES + text).removeprefix(write(_BOTH_QUOTES)[:-1])[:-1]


def redact(text: str, secrets: list[str]) -> str:
    """Replace every secret in a text.

    >>> redact("from me:p@ss", list_secrets(proxy="http://me:p%40ss@proxy:80", cookies=None))
    'from ***'
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
