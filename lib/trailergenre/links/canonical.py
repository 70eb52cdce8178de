"""One cell of an input list to one canonical link, or the reason against it.

Nothing is resolved or requested here; the download checks addresses again when it connects.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
import unicodedata
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

import idna

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.errors import TrailergenreError, one_line
from trailergenre.base.ip_addresses import is_denied_address
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.records import VIDEO_SUFFIXES, Link, LinkId
from trailergenre.links.cells import is_null
from trailergenre.links.youtube import VIDEO_ID, find_redirected, find_video_id, is_youtube

_BLANKS = "\ufeff\u200b\u2060"
"""Invisible characters that `str.strip` leaves."""

_MAX_CHARS = 8000
"""Longest link: what RFC 9110 recommends that servers accept."""

_WATCH = "https://www.youtube.com/watch?v={}"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Without dots: www.example.org:443/x is a host and a port, not a scheme.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+-]*):")
_BARE_HOST = re.compile(r"[^\s/?#@:]+\.[^\s/?#@:.]+\.?(:\d+)?")
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Allowed in paths by RFC 3986; with the percent sign, so that escapes are not escaped again.
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._"
_SAFE_IN_QUERY = _SAFE_IN_PATH + "?"
_ANOTHER_LINK = re.compile(r"[\s,;|]https?://", re.IGNORECASE)
_WRAPPED = re.compile(r"""<(.*)>|"(.*)"|'(.*)'""")


class LinkError(TrailergenreError):
    """A cell is not a usable link; sets the row's outcome and detail."""

    def __init__(self, row_outcome: RowOutcome, detail: str) -> None:
        self.row_outcome = row_outcome
        self.detail = one_line(detail)
        super().__init__(f"{row_outcome}: {self.detail}")


def link_id(url: str) -> LinkId:
    """The id of a canonical link: its SHA-256, 64 hex digits."""
    return LinkId(hashlib.sha256(url.encode()).hexdigest())


def without_user(cell: str) -> str:
    """One line of a cell, without user name and password.

    >>> without_user("https://me:secret@films.example/a")
    'https://***@films.example/a'
    """
    return re.sub("//[^/?#]*@", "//***@", one_line(cell))


def parse_link(
    cell: str, *, links: LinksConfig, network: NetworkConfig, base: Path | None = None
) -> Link:
    """Turn one cell, a link with or without its scheme, a YouTube id or a path, into its link.

    Args:
        cell: the cell.
        links: the roots of local files.
        network: the private addresses that are allowed.
        base: directory of relative paths; None: the current one.

    Raises:
        LinkError: the cell is not a link; with the row's outcome and a reason.
    """
    text = cell.strip().strip(_BLANKS).strip()
    if _WRAPPED.fullmatch(text):
        text = text[1:-1].strip()
    if is_null(text):
        raise LinkError(RowOutcome.LINK_EMPTY, "the cell is empty")
    if len(text) > _MAX_CHARS:
        raise LinkError(RowOutcome.LINK_INVALID, f"it is longer than {_MAX_CHARS} characters")
    if any(unicodedata.category(c) == "Cc" for c in text):
        raise LinkError(RowOutcome.LINK_INVALID, "it has a control character")
    if _ANOTHER_LINK.search(text):
        raise LinkError(RowOutcome.LINK_INVALID, "it has several links; give each a row")
    scheme, text = _split_scheme(text, links, base)
    if scheme in _DEFAULT_PORTS:
        url = _canonical_web(text, network)
    elif scheme == "file":
        url = _canonical_file(text, links, base)
    else:
        detail = f"{scheme}: is not supported; use http, https or a file"
        raise LinkError(RowOutcome.SCHEME_REFUSED, detail)
    return Link(link_id=link_id(url), url=url)


def _split_scheme(text: str, links: LinksConfig, base: Path | None) -> tuple[str, str]:
    """Determine the scheme of a link; a host without a scheme gets https."""
    if VIDEO_ID.fullmatch(text) and not (links.allowed_roots and _is_file(text, base)):
        return "https", _WATCH.format(text)
    if match := _SCHEME.match(text):
        # "Alien: Covenant.mp4" may be a file name, `x://` cannot.
        if "://" not in text and links.allowed_roots and _is_file(text, base):
            return "file", text
        return match[1].lower(), text
    if text.startswith("//"):
        raise LinkError(RowOutcome.SCHEME_REFUSED, "it begins with //; write https://")
    if text.startswith("-"):
        raise LinkError(RowOutcome.LINK_INVALID, "it looks like an option, not a link")
    first = re.split(r"[/?#]", text, maxsplit=1)[0]
    is_below_directory = "/" in text
    is_video_name = Path(text).suffix.lower() in VIDEO_SUFFIXES
    if links.allowed_roots and _is_file(text, base):
        return "file", text
    if _BARE_HOST.fullmatch(first) and (is_below_directory or not is_video_name):
        return "https", f"https://{text}"
    if is_below_directory or is_video_name:
        return "file", text
    raise LinkError(RowOutcome.LINK_INVALID, "it is neither a link nor the path of a video")


def _canonical_web(text: str, network: NetworkConfig) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
        text.encode()  # refuses lone surrogates
    except ValueError as error:
        raise LinkError(RowOutcome.LINK_INVALID, f"the link cannot be read: {error}") from error
    if "@" in parts.netloc:
        raise LinkError(RowOutcome.LINK_INVALID, "it has a user name; remove the part up to the @")
    if not parts.hostname:
        raise LinkError(RowOutcome.LINK_INVALID, "it has no host")
    host = _canonical_host(parts.hostname, is_ipv6=parts.netloc.startswith("["))
    default_port = _DEFAULT_PORTS[parts.scheme]
    _check_address(host, default_port if port is None else port, network)
    if is_youtube(host):
        return _canonical_youtube(host, parts)
    if video_id := find_redirected(host, parts):
        return _WATCH.format(video_id)
    shown_port = "" if port in {None, default_port} else f":{port}"
    path = quote(parts.path, safe=_SAFE_IN_PATH) or "/"
    query = f"?{quote(parts.query, safe=_SAFE_IN_QUERY)}" if parts.query else ""
    # Without the fragment, from which yt-dlp would read options.
    return f"{parts.scheme}://{host}{shown_port}{path}{query}"


def _canonical_youtube(host: str, parts: SplitResult) -> str:
    video_id = find_video_id(host, parts)
    if video_id is None:
        raise LinkError(
            RowOutcome.NOT_A_SINGLE_VIDEO,
            "a YouTube page that is not a single video: a channel, user, playlist or search",
        )
    if not VIDEO_ID.fullmatch(video_id):
        detail = f"{video_id!r} is not a YouTube video id of 11 characters"
        raise LinkError(RowOutcome.LINK_INVALID, detail)
    return _WATCH.format(video_id)


def _canonical_host(host: str, *, is_ipv6: bool) -> str:
    """Canonical spelling of a host: IDNA, lower case, addresses in full."""
    try:
        if is_ipv6:
            return f"[{ipaddress.IPv6Address(host.partition('%')[0]).compressed}]"
        # IDNA also maps characters that look like digits and dots.
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
        name = name.lower().removesuffix(".")
        if len(name) > 253 or not _HOST.fullmatch(name):
            raise ValueError
        # The C library reads 127.1, 0x7f.1 and 2130706433 as a connection would.
        return socket.inet_ntoa(socket.inet_aton(name)) if _is_ipv4(name) else name
    except (OSError, ValueError) as error:
        detail = f"the host {host!r} is not a name or an address"
        raise LinkError(RowOutcome.LINK_INVALID, detail) from error


def _is_ipv4(host: str) -> bool:
    """Whether a host is an address, which has many spellings: its last label is a number."""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _check_address(host: str, port: int, network: NetworkConfig) -> None:
    if port == 0:
        raise LinkError(RowOutcome.LINK_INVALID, "port 0 is outside of 1..65535")
    if f"{host}:{port}" in network.allow:
        return
    how = f'to allow it, set network.allow = ["{host}:{port}"]'
    if is_denied_host(host):
        raise LinkError(RowOutcome.HOST_DENIED, f"{host} is not public; {how}")
    if port not in _DEFAULT_PORTS.values():
        raise LinkError(RowOutcome.HOST_DENIED, f"port {port} is neither 80 nor 443; {how}")


def is_denied_host(host: str) -> bool:
    """Whether a canonical host is localhost or a denied address.

    >>> is_denied_host("localhost"), is_denied_host("[::1]"), is_denied_host("example.org")
    (True, True, False)
    """
    if host.startswith("[") or _is_ipv4(host):
        return is_denied_address(host.strip("[]"))
    return host == "localhost" or host.endswith(".localhost")


def _is_file(text: str, base: Path | None) -> bool:
    try:
        return _local_path(text, base).is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def _local_path(text: str, base: Path | None) -> Path:
    return (base or Path.cwd()) / Path(text).expanduser()


def _canonical_file(text: str, links: LinksConfig, base: Path | None) -> str:
    if not links.allowed_roots:
        raise LinkError(
            RowOutcome.SCHEME_REFUSED,
            "local files need links.allowed_roots, which is empty; add the videos' directory to it",
        )
    try:
        real = _local_path(_path_of(text), base).resolve()
        is_file = real.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise LinkError(RowOutcome.LINK_INVALID, f"the path cannot be read: {error}") from error
    # Checked first, so that the message does not reveal which other files exist.
    if not links.allows(real):
        raise LinkError(
            RowOutcome.SCHEME_REFUSED,
            "the file is not under any of links.allowed_roots; add its directory to them",
        )
    if not is_file:
        raise LinkError(RowOutcome.LINK_INVALID, "there is no such file")
    return real.as_uri()


def _path_of(text: str) -> str:
    if not text.lower().startswith("file:"):
        return text
    parts = urlsplit(text)
    if parts.netloc.lower() not in {"", "localhost"} or not parts.path.startswith("/"):
        raise LinkError(RowOutcome.SCHEME_REFUSED, "a file link must start with file:///")
    return os.fsdecode(unquote_to_bytes(parts.path))
