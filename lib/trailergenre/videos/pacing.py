"""Pace and circuit breaker of hosts: who downloads from a host, when, and when to stop asking it.

A lane is one task that takes its share of a paced host's links one after the other. So pace and
circuit breaker hold over the whole cluster, and nothing is shared between tasks.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from trailergenre.base.config import HostConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
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
    name = urlsplit(url).hostname
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
        links: of the run.
        hosts: the paced ones.
        n_slots: tasks that run at the same time.
        kept: ids of links whose video or frames are kept; they need no request.

    Returns:
        The lanes, each with some of its host's links, then others; and the links that are left.
    """
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
    """Called before and after every attempt at a download, by several threads; paces nothing."""

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
        self._hosts = hosts
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
            (others if find_host(link.url, self._hosts) is None else paced).append(link)
        while paced or others:
            is_next = paced and (not others or self._is_due(self._host_of(paced[0])))
            yield (paced if is_next else others).popleft()

    @contextlib.contextmanager
    def lane(self, link: Link, deadline: Deadline) -> Iterator[None]:
        """Wait for the lane of a paced host and hold it."""
        lane = self._lanes.get(self._host_of(link))
        if lane is None:
            yield
            return
        with deadline.paused():
            while not lane.acquire(timeout=_POLL_S):
                if deadline.stopped.is_set():
                    raise _stopped()
        try:
            yield
        finally:
            lane.release()

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Wait until the link's host may be asked."""
        host = self._host_of(link)
        with deadline.paused():
            while not self._may_begin(host, deadline):
                if deadline.stopped.wait(_POLL_S):
                    raise _stopped()
            if deadline.stopped.wait(self._wait_s(host)):
                with self._lock:
                    self._attempts[host] -= 1
                raise _stopped()

    def _may_begin(self, host: str, deadline: Deadline) -> bool:
        """Count an attempt that may begin. A host that throttled gets one attempt at a time."""
        with self._lock:
            state = self._states[host]
            if state.n_throttled and self._attempts[host]:
                return False
            # Nor is a rest waited for that takes longer than the link has left.
            if self._is_open(host) or 0 < self._rest_s(host) >= deadline.left_s:
                raise ItemError(Outcome.THROTTLED, state.last_throttle)
            self._attempts[host] += 1
            return True

    def record(self, link: Link, result: Video | ItemError) -> None:
        """Count throttles, and start the clock of the host when the attempt reached it."""
        host = self._host_of(link)
        with self._lock:
            self._attempts[host] -= 1
            if isinstance(result, ItemError) and result.outcome is Outcome.THROTTLED:
                self._states[host].n_throttled += 1
                self._states[host].last_throttle = result.detail
                self._begin_rest(self._states[host], result.retry_after_s or 0.0)
            else:
                self._states[host].n_throttled = 0
        if host in self._hosts:
            # The host sees when a child process connects, not when it is started.
            asked_at_s = time.monotonic() if result.asked_at_s is None else result.asked_at_s
            self._next_start[host] = asked_at_s + self._hosts[host].seconds_between

    def _begin_rest(self, state: HostState, seconds: float) -> None:
        """Let a host rest; of rests that overlap, each second counts once."""
        now = time.monotonic()
        if now + seconds > state.rests_until:
            state.rest_s += now + seconds - max(state.rests_until, now)
            state.rests_until = now + seconds

    def _host_of(self, link: Link) -> str:
        return find_host(link.url, self._hosts) or urlsplit(link.url).hostname or ""

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
        n_tasks = self._hosts[host].lanes if host in self._hosts else self._n_slots
        # One throttle may have been a Retry-After that is all that the host wants.
        allowed = max(2, math.ceil(BREAKER_ATTEMPTS / n_tasks))
        return self._states[host].n_throttled >= allowed


def _stopped() -> ItemError:
    return ItemError(Outcome.TIMEOUT, "the task was stopped before the link was asked for")
