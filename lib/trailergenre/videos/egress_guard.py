"""The download child's audit hook: where it may connect to and which program it may start.

It checks the address of each connection, so redirects, embeds and DNS rebinding make no
difference, and it cannot be removed. Name resolution happens in the C library and is not checked.
"""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from trailergenre.base.errors import ItemError
from trailergenre.base.ip_addresses import is_denied_address
from trailergenre.base.outcomes import Outcome

MAX_CONNECTIONS = 20
"""Addresses that are recorded per link; a video comes from three or four."""

_PORTS = frozenset({80, 443})
_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}
)
# Documentation addresses: they can only be bound where every address can.
_UNASSIGNED = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


class Guard:
    """The rules of one download, and a record of its connections.

    Attributes:
        refusals: in order; yt-dlp reports them as failed connections only.
        connections: distinct `address:port`, in order, the first 20.
        asked_at_s: time of the first allowed connection, by the monotonic clock.
    """

    def __init__(self, *, allow: frozenset[str], proxy: frozenset[str], program: str) -> None:
        """Set the rules; `sys.addaudithook(guard.check)` enforces them.

        Args:
            allow: `address:port` pairs that are reachable although private.
            proxy: `address:port` pairs of the proxy; if there are any, nothing else is reachable.
            program: path of the only program that may be started.
        """
        self.refusals: list[ItemError] = []
        self.connections: list[str] = []
        self.asked_at_s: float | None = None
        self._allow, self._proxy, self._program = allow, proxy, program

    def check(self, event: str, arguments: tuple[object, ...]) -> None:
        """Raise PermissionError for an event that breaks the rules."""
        if event in _CONNECTS:
            # None: the socket is connected, and its address was checked then.
            if (address := arguments[1]) is not None:
                self._check_address(address)
        elif event == "subprocess.Popen":
            if arguments[0] != self._program:
                raise PermissionError(f"a download may not start the program {arguments[0]}")
        elif event in _STARTS:
            raise PermissionError(f"a download may not call {event}")

    def _check_address(self, address: object) -> None:
        if reason := self._reason_against(address):
            self.refusals.append(ItemError(Outcome.HOST_DENIED, f"leads to {reason}"))
            raise PermissionError(self.refusals[-1].detail)
        if self.asked_at_s is None:
            self.asked_at_s = time.monotonic()
        endpoint = format_endpoint(address)
        if endpoint not in self.connections and len(self.connections) < MAX_CONNECTIONS:
            self.connections.append(endpoint)

    def _reason_against(self, address: object) -> str | None:
        if not isinstance(address, tuple):
            return "a socket on this machine"
        endpoint = format_endpoint(address)
        if self._proxy:
            return None if endpoint in self._proxy else f"{endpoint}, past the proxy"
        if endpoint in self._allow:
            return None
        host, port = str(address[0]), address[1]
        if is_denied_address(host):
            return f"{endpoint}, which is denied"
        if port not in _PORTS:
            return f"{endpoint}, whose port is neither 80 nor 443"
        return f"{endpoint}, which is this machine" if is_own_address(host) else None


def is_own_address(ip: str) -> bool:
    """Whether an address, public or not, is one of this machine's: only those can be bound.

    >>> is_own_address("127.0.0.1"), is_own_address("8.8.8.8")
    (True, False)
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    # With ip_nonlocal_bind every address can be bound, and binding proves nothing.
    return _can_bind(family, ip) and not _can_bind(family, _UNASSIGNED[family])


def _can_bind(family: socket.AddressFamily, ip: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True


def format_endpoint(address: object) -> str:
    """Format an argument of `connect` as `address:port`.

    >>> format_endpoint(("::1", 80, 0, 0))
    '[::1]:80'
    """
    host, port = (address[0], address[1]) if isinstance(address, tuple) else (address, "")
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def resolve_proxy(proxy: str | None) -> frozenset[str]:
    """Look a proxy up, once for the whole process: later addresses of its name would be denied.

    Returns:
        Its `address:port` pairs; empty without a proxy.
    """
    if proxy is None:
        return frozenset()
    parts, look_up = urlsplit(proxy), socket.getaddrinfo
    try:
        resolved = look_up(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        detail = f"proxy: {parts.hostname} is not found: {error}"
        raise ItemError(Outcome.DEFERRED, detail) from error

    def pinned(host: str | None, *arguments: object, **more: object) -> object:
        return resolved if host == parts.hostname else look_up(host, *arguments, **more)  # type: ignore[arg-type]

    socket.getaddrinfo = pinned  # type: ignore[assignment]
    return frozenset(format_endpoint(address) for *_, address in resolved)
