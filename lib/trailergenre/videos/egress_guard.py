"""The download child's audit hook: which addresses it may connect to, which program it may start.

It judges the address of the connection itself, so that redirects, embeds and names that resolve
anew make no difference, and it cannot be taken off again. Name resolution is the C library's and
does not pass here. Standard library only.
"""

from __future__ import annotations

import socket
import time

from trailergenre.base.errors import ItemError
from trailergenre.base.ip_addresses import is_denied_address
from trailergenre.base.outcomes import Outcome

MAX_CONNECTIONS = 20
"""Addresses that are handed on; a video comes from three or four."""

_PORTS = frozenset({80, 443})
_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}
)
# Addresses of documentation: no machine has them, unless it lets every address be bound.
_NOBODYS = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


class Guard:
    """What was refused, and which servers were spoken to.

    Attributes:
        refusals: as they happen; yt-dlp reports them as failed connections only.
        connections: `address:port`, distinct, in order, the first 20.
        asked_at_s: when the first connection was allowed, by the monotonic clock.
    """

    def __init__(self, *, allow: frozenset[str], proxy: frozenset[str], program: str) -> None:
        """Judge by these rules; `sys.addaudithook(guard.check)` makes them hold.

        Args:
            allow: `address:port` pairs that are reachable although private.
            proxy: those of the proxy; where there is one, nothing else is reachable.
            program: path of the only program that may be started.
        """
        self.refusals: list[ItemError] = []
        self.connections: list[str] = []
        self.asked_at_s: float | None = None
        self._allow = allow
        self._proxy = proxy
        self._program = program

    def check(self, event: str, arguments: tuple[object, ...]) -> None:
        """Raise PermissionError where an event is against the rules."""
        if event in _CONNECTS:
            address = arguments[1]
            # None: a message over a socket that is connected, which was judged then.
            if address is not None:
                self._connect(address)
        elif event == "subprocess.Popen":
            if arguments[0] != self._program:
                raise PermissionError(f"{arguments[0]} is no program that a download may start")
        elif event in _STARTS:
            raise PermissionError(f"{event} is nothing that a download may do")

    def _connect(self, address: object) -> None:
        reason = self._reason_against(address)
        if reason is not None:
            self.refusals.append(ItemError(Outcome.HOST_DENIED, f"leads to {reason}"))
            raise PermissionError(self.refusals[-1].detail)
        if self.asked_at_s is None:
            self.asked_at_s = time.monotonic()
        place = place_of(address)
        if place not in self.connections and len(self.connections) < MAX_CONNECTIONS:
            self.connections.append(place)

    def _reason_against(self, address: object) -> str | None:
        if not isinstance(address, tuple):
            return "a socket on this machine"
        place = place_of(address)
        if self._proxy:
            return None if place in self._proxy else f"{place}, past the proxy"
        if place in self._allow:
            return None
        host, port = str(address[0]), address[1]
        if is_denied_address(host):
            return f"{place}, which is denied"
        if port not in _PORTS:
            return f"{place}, and its port is neither 80 nor 443"
        return f"{place}, which is this machine" if is_own_address(host) else None


def is_own_address(ip: str) -> bool:
    """Whether an address is one of this machine's, public ones too: only those can be bound.

    >>> is_own_address("127.0.0.1"), is_own_address("8.8.8.8")
    (True, False)
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    # Where even nobody's address can be bound (ip_nonlocal_bind), nothing can be told this way.
    return _can_bind(family, ip) and not _can_bind(family, _NOBODYS[family])


def _can_bind(family: socket.AddressFamily, ip: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True


def place_of(address: object) -> str:
    """`address:port` of what `connect` is called with.

    >>> place_of(("::1", 80, 0, 0))
    '[::1]:80'
    """
    host, port = (address[0], address[1]) if isinstance(address, tuple) else (address, "")
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
