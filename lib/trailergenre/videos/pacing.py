"""Pace and circuit breaker of hosts: who downloads from a host, when, and when to stop asking it.

A lane is one task that takes its share of a paced host's links one after the other. So pace and
circuit breaker hold over the whole cluster, and nothing is shared between tasks. A link that turns
out to lead to a paced host is stopped before it asks that host, and later taken by one task that is
the only lane of all hosts.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome

if TYPE_CHECKING:  # the download child imports this module
    from trailergenre.base.config import HostConfig
    from trailergenre.base.records import Link, Video
    from trailergenre.base.sandbox.children import Deadline

BREAKER_ATTEMPTS = 5
"""Throttled attempts in a row, over the whole cluster, that open a host's circuit breaker."""

_POLL_S = 0.1


@dataclass
class HostState:
    """What the tasks that one process runs know of a host."""

    n_throttled: int = 0  # attempts since its last other answer
    last_throttle: str = ""  # its detail
    rests_until: float = 0.0  # by the monotonic clock
    rest_s: float = 0.0  # asked for, in all


HostStates = defaultdict[str, HostState]


def find_host(url: str, hosts: Collection[str]) -> str | None:
    """The host of a link, or its closest parent domain, that is one of `hosts`.

    >>> find_host("https://www.youtube.com/watch?v=x", ["youtube.com"])
    'youtube.com'
    """
    name = (urlsplit(url).hostname or "").rstrip(".")
    while name and name not in hosts:
        name = name.partition(".")[2]
    return name or None


def assign_lanes(
    links: Iterable[Link],
    hosts: Mapping[str, HostConfig],
    *,
    n_slots: int,
    kept: Collection[str] = (),
) -> tuple[list[list[Link]], list[Link]]:
    """Split links into lanes and those that any task may take.

    A lane mostly waits, so it also gets a slot's share of the other links to take meanwhile.

    Args:
        links: of one stage. Those that are known to lead to paced hosts are one lane; no others of
            these hosts may be asked beside it.
        hosts: the paced ones.
        n_slots: tasks that run at the same time.
        kept: ids of links whose video or frames are kept; they need no request.

    Returns:
        The lanes, each with some of its host's links, then others; and the links that are left.
    """
    if led := [link for link in links if link.leads_to]:
        return [led], []
    paced: dict[str, list[Link]] = {host: [] for host in hosts}
    others: list[Link] = []
    for link in links:
        is_kept = link.link_id in kept and not link.is_refetched
        host = None if is_kept else find_host(link.url, hosts)
        (others if host is None else paced[host]).append(link)
    lanes = [
        of_host[lane :: hosts[host].lanes]
        for host, of_host in paced.items()
        for lane in range(min(hosts[host].lanes, len(of_host)))
    ]
    for slot, lane in enumerate(lanes[:n_slots]):
        lane += others[slot::n_slots]
    return lanes, [link for place, link in enumerate(others) if place % n_slots >= len(lanes)]


class Pacer:
    """Called before and after every attempt at a download, by several threads; paces nothing.

    Attributes:
        hosts: those with a pace, which no other link may ask.
    """

    hosts: Mapping[str, HostConfig] = MappingProxyType({})

    def lane(self, link: Link, deadline: Deadline) -> contextlib.AbstractContextManager[None]:
        """Hold the lane of a link for all its attempts."""
        return contextlib.nullcontext()

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Wait until an attempt may begin; the link's deadline is paused meanwhile.

        Raises:
            ItemError: the attempt must not begin; it is not counted, and no other follows.
        """

    def record(self, link: Link, result: Video | ItemError) -> None:
        """Record the result of an attempt."""


class HostPacer(Pacer):
    """Paces the attempts of one task by host, and opens the circuit breakers of hosts."""

    def __init__(
        self,
        hosts: Mapping[str, HostConfig],
        states: HostStates,
        *,
        n_slots: int,
        max_rest_s: float,
    ) -> None:
        """Begin a task.

        Args:
            hosts: the paced ones.
            states: shared by the tasks that one process runs one after the other.
            n_slots: tasks that may ask one unpaced host at the same time.
            max_rest_s: see `LimitsConfig`.
        """
        self.hosts = hosts
        self._states = states
        self._n_slots = n_slots
        self._max_rest_s = max_rest_s
        # Another task, perhaps a killed one, may have asked a host just now.
        now = time.monotonic()
        self._next_start = {host: now + config.seconds_between for host, config in hosts.items()}
        self._lanes = {host: threading.Lock() for host in hosts}
        self._lock = threading.Lock()
        self._attempts: Counter[str] = Counter()  # under way, by host

    def order(self, links: Iterable[Link]) -> Iterator[Link]:
        """Yield a task's links: one of a paced host when it is due, else another."""
        paced: deque[Link] = deque()
        others: deque[Link] = deque()
        for link in links:
            (paced if self.hosts.keys() & self._hosts_of(link) else others).append(link)
        while paced or others:
            is_next = paced and (not others or all(map(self._is_due, self._hosts_of(paced[0]))))
            yield (paced if is_next else others).popleft()

    @contextlib.contextmanager
    def lane(self, link: Link, deadline: Deadline) -> Iterator[None]:
        """Wait for the lanes of the paced hosts and hold them."""
        with contextlib.ExitStack() as held:
            # In one order for all, so that no two wait for each other.
            for host in sorted(self.hosts.keys() & self._hosts_of(link)):
                with deadline.paused():
                    while not self._lanes[host].acquire(timeout=_POLL_S):
                        if deadline.stopped.is_set():
                            raise _stopped()
                held.callback(self._lanes[host].release)
            yield

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Wait until the link's hosts may be asked."""
        hosts = self._hosts_of(link)
        with deadline.paused():
            while not self._may_begin(hosts, deadline):
                if deadline.stopped.wait(_POLL_S):
                    raise _stopped()
            if deadline.stopped.wait(max(map(self._wait_s, hosts))):
                with self._lock:
                    self._attempts.subtract(hosts)
                raise _stopped()

    def _may_begin(self, hosts: Collection[str], deadline: Deadline) -> bool:
        """Count an attempt that may begin. A host that throttled gets one attempt at a time."""
        with self._lock:
            for host in hosts:
                state = self._states[host]
                if state.n_throttled and self._attempts[host]:
                    return False
                # Nor is a rest waited for that takes longer than the link has left.
                if self._is_open(host) or 0 < self._rest_s(host) >= deadline.left_s:
                    raise ItemError(Outcome.THROTTLED, state.last_throttle)
            self._attempts.update(hosts)
            return True

    def record(self, link: Link, result: Video | ItemError) -> None:
        """Count throttles, and start the clock of the hosts when the attempt reached them."""
        # A host sees when a child process connects, not when it is started. When it came to the
        # hosts to which the link only leads is not known.
        asked_at_s = None if link.leads_to else result.asked_at_s
        if asked_at_s is None:
            asked_at_s = time.monotonic()
        with self._lock:
            for host in self._hosts_of(link):
                self._attempts[host] -= 1
                if isinstance(result, ItemError) and result.outcome is Outcome.THROTTLED:
                    self._states[host].n_throttled += 1
                    self._states[host].last_throttle = result.detail
                    self._begin_rest(self._states[host], result.retry_after_s or 0.0)
                else:
                    self._states[host].n_throttled = 0
                if host in self.hosts:
                    self._next_start[host] = asked_at_s + self.hosts[host].seconds_between

    def _begin_rest(self, state: HostState, seconds: float) -> None:
        """Let a host rest; of rests that overlap, each second counts once."""
        now = time.monotonic()
        if now + seconds > state.rests_until:
            state.rest_s += now + seconds - max(state.rests_until, now)
            state.rests_until = now + seconds

    def _hosts_of(self, link: Link) -> tuple[str, ...]:
        own = find_host(link.url, self.hosts) or urlsplit(link.url).hostname or ""
        return (own, *link.leads_to)

    def _wait_s(self, host: str) -> float:
        if self._is_open(host):
            return 0.0
        return max(self._rest_s(host), self._next_start.get(host, 0.0) - time.monotonic())

    def _rest_s(self, host: str) -> float:
        return max(0.0, self._states[host].rests_until - time.monotonic())

    def _is_due(self, host: str) -> bool:
        lane = self._lanes.get(host)
        return self._wait_s(host) <= 0 and not (lane and lane.locked())

    def _is_open(self, host: str) -> bool:
        """Whether the circuit breaker of a host is open: it is asked no more."""
        # An answer to a request that was under way does not close it again.
        if self._states[host].rest_s > self._max_rest_s:
            return True
        n_tasks = self.hosts[host].lanes if host in self.hosts else self._n_slots
        # One throttle may have been a Retry-After that is all that the host wants.
        allowed = max(2, math.ceil(BREAKER_ATTEMPTS / n_tasks))
        return self._states[host].n_throttled >= allowed


def _stopped() -> ItemError:
    return ItemError(Outcome.TIMEOUT, "the task was stopped before the link was asked for")
