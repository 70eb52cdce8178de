"""How gently hosts are asked: who shares a lane, when the next may start, when to stop asking.

A lane is one task that takes its part of a paced host's links one after the other, so its pace and
its circuit breaker hold over the whole cluster without anything being shared. Knows nothing of
Spark, nor of how a download is made.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from trailergenre.base.config import HostConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox import Deadline

BREAKER_ATTEMPTS = 5
"""Throttled attempts in a row after which a host is left alone, all who ask it together."""

_POLL_S = 0.1
_STOPPED = "stopped before it was asked for"

Throttles = dict[str, list[str]]
"""Host -> what it said to the throttled attempts since its last other answer."""


def find_host(url: str, hosts: Collection[str]) -> str | None:
    """The host of a link, or its closest parent domain, that is one of `hosts`.

    >>> find_host("https://www.youtube.com/watch?v=x", ["youtube.com"])
    'youtube.com'
    """
    name = urlsplit(url).hostname
    while name and name not in hosts:
        name = name.partition(".")[2]
    return name or None


def deal_links(
    links: Iterable[Link],
    hosts: Mapping[str, HostConfig],
    *,
    n_slots: int,
    kept: Collection[str] = (),
) -> tuple[list[list[Link]], list[Link]]:
    """Part links into lanes and those that any task may take.

    A lane that waits would hold a slot of the cluster for nothing. So each also gets the part of
    the other links that falls to a slot, to take between its own; no slot stands idle, and where
    the lanes fill all slots the other links need not wait until a lane ends.

    Args:
        links: of the run.
        hosts: the paced ones.
        n_slots: tasks that run at the same time.
        kept: ids of links whose video is kept; nobody is asked for it.

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


class HostGate:
    """Lets the attempts of one task pass at their hosts' pace, until a host has had enough."""

    def __init__(
        self, hosts: Mapping[str, HostConfig], throttles: Throttles, *, n_slots: int
    ) -> None:
        """Begin a task.

        Args:
            hosts: the paced ones.
            throttles: kept from task to task by who runs them one after the other.
            n_slots: tasks that may ask one unpaced host at the same time.
        """
        self._hosts = hosts
        self._throttles = throttles
        self._n_slots = n_slots
        # When a host was last asked, by a task or a run that was killed perhaps, nobody knows.
        now = time.monotonic()
        self._free_at = {host: now + config.seconds_between for host, config in hosts.items()}
        self._rests_until: dict[str, float] = {}
        self._held = {host: threading.Lock() for host in hosts}
        self._noting = threading.Lock()
        # Attempts under way by host: of one that throttles, one at a time tries again.
        self._asking: Counter[str] = Counter()

    def order(self, links: Iterable[Link]) -> Iterator[Link]:
        """Give a task's links one by one: of paced hosts when they are due, else others."""
        paced: deque[Link] = deque()
        others: deque[Link] = deque()
        for link in links:
            (others if find_host(link.url, self._hosts) is None else paced).append(link)
        while paced or others:
            is_next = paced and (not others or self._is_due(self._host_of(paced[0])))
            yield (paced if is_next else others).popleft()

    @contextlib.contextmanager
    def hold(self, link: Link, deadline: Deadline) -> Iterator[None]:
        """Have the lane of a paced host to oneself; the link's own time stands still meanwhile.

        Raises:
            ItemError: the task was stopped.
        """
        held = self._held.get(self._host_of(link))
        if held is None:
            yield
            return
        with deadline.paused():
            while not held.acquire(timeout=_POLL_S):
                if deadline.stopped.is_set():
                    raise ItemError(Outcome.DEFERRED, _STOPPED)
        try:
            yield
        finally:
            held.release()

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Return when the link's host may be asked; the link's own time stands still.

        Raises:
            ItemError: the host throttles too much, or the task was stopped.
        """
        host = self._host_of(link)
        with deadline.paused():
            while not self._may_ask(host, deadline):
                if deadline.stopped.wait(_POLL_S):
                    raise ItemError(Outcome.DEFERRED, _STOPPED)
            if deadline.stopped.wait(self._wait_s(host)):
                with self._noting:
                    self._asking[host] -= 1
                raise ItemError(Outcome.DEFERRED, _STOPPED)

    def _may_ask(self, host: str, deadline: Deadline) -> bool:
        """Count an attempt that may begin; false while another finds out whether it may."""
        with self._noting:
            said = self._throttles.get(host, ())
            if said and self._asking[host]:
                return False
            # A rest that the link's own time would not outlast is not waited for.
            if said and (self._is_open(host) or self._rest_s(host) >= deadline.left_s):
                raise ItemError(Outcome.DEFERRED, f"throttled: {said[-1]}")
            self._asking[host] += 1
            return True

    def report(self, link: Link, end: Video | ItemError) -> None:
        """Count throttles, and start the host's clock from when the attempt reached it."""
        host = self._host_of(link)
        with self._noting:
            self._asking[host] -= 1
            if isinstance(end, ItemError) and end.outcome is Outcome.THROTTLED:
                self._throttles.setdefault(host, []).append(end.detail)
                # Who backs off himself must not be passed by the next link of the host.
                self._rests_until[host] = time.monotonic() + (end.retry_after_s or 0.0)
            else:
                self._throttles.pop(host, None)
        if host in self._hosts:
            # A child takes a while to begin, now more, now less: its start is not what sites see.
            asked_at_s = time.monotonic() if end.asked_at_s is None else end.asked_at_s
            self._free_at[host] = asked_at_s + self._hosts[host].seconds_between

    def _host_of(self, link: Link) -> str:
        return find_host(link.url, self._hosts) or urlsplit(link.url).hostname or ""

    def _wait_s(self, host: str) -> float:
        if self._is_open(host):
            return 0.0
        return max(self._rest_s(host), self._free_at.get(host, 0.0) - time.monotonic())

    def _rest_s(self, host: str) -> float:
        """Seconds that the host asked to be left alone for."""
        return max(0.0, self._rests_until.get(host, 0.0) - time.monotonic())

    def _is_due(self, host: str) -> bool:
        held = self._held.get(host)
        return self._wait_s(host) <= 0 and not (held and held.locked())

    def _is_open(self, host: str) -> bool:
        n_asking = self._hosts[host].lanes if host in self._hosts else self._n_slots
        # One throttle is no breakdown: a Retry-After may be all that the host wanted.
        allowed = max(2, math.ceil(BREAKER_ATTEMPTS / n_asking))
        return len(self._throttles.get(host, ())) >= allowed
