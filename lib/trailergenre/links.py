"""One cell of a table to one canonical link, or to the reason why it is none.

Canonical means that `youtu.be/x`, `watch?v=x&t=3` and an upper-case host give one `link_id`. This
is the check at the door; where a link leads is checked again when it connects.
"""

from __future__ import annotations

import hashlib
import re
import socket
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

from trailergenre.addresses import is_denied_address
from trailergenre.config import LinksConfig, NetworkConfig
from trailergenre.errors import TrailergenreError, one_line
from trailergenre.outcomes import RowOutcome
from trailergenre.records import Link, LinkId

_DEFAULT_PORTS = {"http": 80, "https": 443}

_YOUTUBE_HOSTS = frozenset(
    {
        *("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com"),
        *("youtube-nocookie.com", "www.youtube-nocookie.com", "youtu.be", "www.youtu.be"),
    }
)
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_VIDEO_FOLDERS = frozenset({"embed", "shorts", "live", "v", "e"})

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_BARE_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?:[:/]|$)", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


class LinkError(TrailergenreError):
    """A cell is no link that this project downloads."""

    def __init__(self, row_outcome: RowOutcome, detail: str) -> None:
        """Keep the row's class and a one-line reason."""
        self.row_outcome = row_outcome
        self.detail = one_line(detail)
        super().__init__(f"{row_outcome}: {self.detail}")


def link_id(url: str) -> LinkId:
    """The identity of a canonical link: its SHA-256 as hex."""
    return LinkId(hashlib.sha256(url.encode()).hexdigest())


def parse_link(
    cell: str, *, links: LinksConfig, network: NetworkConfig, base: Path | None = None
) -> Link:
    """Read one cell.

    Args:
        cell: as it stands in the table; white space around it, no-break spaces too, is cut.
        links: the allowed roots of local files.
        network: the addresses that are allowed although private.
        base: directory that relative paths start from; None: there are no relative paths.

    Raises:
        LinkError: with the row's class.
    """
    text = cell.strip()
    if not text:
        raise LinkError(RowOutcome.LINK_EMPTY, "the cell is empty")
    local = _local_path(text, base)
    if local is not None:
        url = _canonical_file(local, links)
    else:
        url = _canonical_url(_with_scheme(text), network)
    return Link(link_id=link_id(url), url=url)


def _local_path(text: str, base: Path | None) -> Path | None:
    if text.lower().startswith("file:"):
        parts = urlsplit(text)
        if parts.netloc not in {"", "localhost"}:
            raise LinkError(RowOutcome.SCHEME_REFUSED, f"{text!r} is a file of another machine")
        return Path(unquote(parts.path))
    if text.startswith(("/", "./", "../", "~/")) and not text.startswith("//"):
        path = Path(text).expanduser()
        return base / path if base is not None else path
    if base is not None and "\0" not in text and len(text) < 1024 and (base / text).is_file():
        return base / text
    return None


def _canonical_file(path: Path, links: LinksConfig) -> str:
    path = path.resolve()
    roots = [Path(root).expanduser().resolve() for root in links.allowed_roots]
    if not any(path.is_relative_to(root) for root in roots):
        raise LinkError(
            RowOutcome.SCHEME_REFUSED,
            f"{path} is not under an allowed root; "
            f"set links.allowed_roots = [{str(path.parent)!r}] to allow it",
        )
    if not path.is_file():
        raise LinkError(RowOutcome.LINK_INVALID, f"there is no file {path}")
    return path.as_uri()


def _with_scheme(text: str) -> str:
    """People leave `https://` out; a host with a dot is taken as one."""
    return f"https://{text}" if _BARE_HOST.match(text) else text


def _canonical_url(text: str, network: NetworkConfig) -> str:
    scheme = _SCHEME.match(text)
    if scheme is None or text.startswith("//"):
        raise LinkError(RowOutcome.LINK_INVALID, f"{text!r} is not a link")
    if scheme.group(1).lower() not in _DEFAULT_PORTS:
        raise LinkError(RowOutcome.SCHEME_REFUSED, f"{scheme.group(1)}: is not http or https")
    if "\\" in text or not text.isprintable() or any(c.isspace() for c in text):
        raise LinkError(RowOutcome.LINK_INVALID, f"{text!r} has characters that no link has")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise LinkError(RowOutcome.LINK_INVALID, f"{text!r}: {error}") from error
    host = _canonical_host(parts, text)
    _check_place(host, port or _DEFAULT_PORTS[parts.scheme], network)
    if host in _YOUTUBE_HOSTS:
        return _canonical_youtube(parts, host)
    is_default = port in {None, _DEFAULT_PORTS[parts.scheme]}
    place = f"[{host}]" if ":" in host else host
    netloc = place if is_default else f"{place}:{port}"
    # The fragment never reaches a server, but it can carry orders to the downloader.
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def _canonical_host(parts: SplitResult, text: str) -> str:
    if "@" in parts.netloc:
        raise LinkError(RowOutcome.LINK_INVALID, "the link carries a user name")
    host = parts.hostname or ""
    if ":" in host:
        return host
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise LinkError(RowOutcome.LINK_INVALID, f"{text!r}: {error}") from error
    if not _HOST.fullmatch(host):
        raise LinkError(RowOutcome.LINK_INVALID, f"{text!r} has no valid host")
    return host.rstrip(".")


def _check_place(host: str, port: int, network: NetworkConfig) -> None:
    if f"{host}:{port}" in network.allow:
        return
    if is_denied_host(host):
        raise LinkError(RowOutcome.HOST_DENIED, f"{host} is a private or local address")
    if port not in _DEFAULT_PORTS.values():
        raise LinkError(
            RowOutcome.HOST_DENIED,
            f"port {port} is neither 80 nor 443; add '{host}:{port}' to network.allow to allow it",
        )


def is_denied_host(host: str) -> bool:
    """Whether a host is literally a denied address, in any of the spellings that systems resolve.

    >>> is_denied_host("2130706433"), is_denied_host("0x7f.1"), is_denied_host("example.org")
    (True, True, False)
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if ":" in host:
        return is_denied_address(host)
    try:
        # Takes what C libraries take: decimal, octal and hexadecimal, one to four parts.
        return is_denied_address(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return False


def _canonical_youtube(parts: SplitResult, host: str) -> str:
    folders = [folder for folder in parts.path.split("/") if folder]
    if host.endswith("youtu.be"):
        candidate = folders[0] if folders else ""
    elif folders and folders[0] in _VIDEO_FOLDERS and len(folders) > 1:
        candidate = folders[1]
    elif folders == ["watch"]:
        candidate = parse_qs(parts.query).get("v", [""])[0]
    else:
        candidate = ""
    video = _VIDEO_ID.match(candidate)
    if video is None:
        raise LinkError(
            RowOutcome.NOT_A_SINGLE_VIDEO, f"{parts.path or '/'} is not a page of one video"
        )
    return f"https://www.youtube.com/watch?v={video.group()}"
