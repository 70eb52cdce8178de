from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lists import as_links
from trailergenre.base.config import HostConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox import Deadline
from trailergenre.videos.pacing import HostGate, Throttles, deal_links, find_host

HOSTS = {"slow.org": HostConfig(lanes=1, seconds_between=12)}
VIDEO = Video(Path("video"), 1, is_owned=True)
NOT_A_BOT = "Sign in to confirm you're not a bot"


def paced(n: int, host: str = "www.slow.org") -> list[Link]:
    return as_links(f"https://{host}/{number}" for number in range(n))


def others(n: int) -> list[Link]:
    return as_links(f"https://fast.org/{number}" for number in range(n))


class Clock(threading.Event):
    """A clock that only waiting moves; stands in for the event that ends all waiting."""

    now = 1000.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def make_gate(throttles: Throttles | None = None, *, n_slots: int = 2) -> HostGate:
    return HostGate(HOSTS, {} if throttles is None else throttles, n_slots=n_slots)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://slow.org/x", "slow.org"),
        ("http://m.www.slow.org:8080/x", "slow.org"),
        ("https://very.slow.org/x", "very.slow.org"),
        ("https://notslow.org/x", None),
        ("https://slow.org.evil.net/slow.org", None),
        ("http://[::1]:80/x", "::1"),
        ("file:///slow.org/x.mp4", None),
    ],
)
def test_a_host_is_paced_with_its_subdomains(url: str, host: str | None) -> None:
    assert find_host(url, {"slow.org", "very.slow.org", "::1"}) == host


@pytest.mark.parametrize(
    ("lanes", "n_slots", "sizes", "n_rest"),
    [
        (1, 2, [(10, 4)], 4),
        (2, 2, [(5, 4), (5, 4)], 0),
        (3, 2, [(4, 4), (3, 4), (3, 0)], 0),
        (1, 8, [(10, 1)], 7),
    ],
)
def test_lanes_share_their_host_and_each_does_a_slots_part_of_the_rest(
    lanes: int, n_slots: int, sizes: list[tuple[int, int]], n_rest: int
) -> None:
    links = [*others(8), *paced(10)]
    hosts = {"slow.org": HostConfig(lanes=lanes)}
    parts, rest = deal_links(links, hosts, n_slots=n_slots)
    slow = [sum("slow.org" in link.url for link in part) for part in parts]
    assert [(n, len(part) - n) for n, part in zip(slow, parts, strict=True)] == sizes
    assert len(rest) == n_rest
    assert sorted(link.url for part in (*parts, rest) for link in part) == sorted(
        link.url for link in links
    )


def test_kept_videos_need_no_lane_unless_they_are_fetched_anew() -> None:
    kept, damaged, new = paced(3)
    damaged = replace(damaged, is_refetched=True)
    ids = {kept.link_id, damaged.link_id}
    lanes, rest = deal_links([kept, damaged, new], HOSTS, n_slots=8, kept=ids)
    assert lanes == [[damaged, new, kept]]
    assert rest == []


def test_starts_are_apart_from_the_first_on_and_no_time_of_the_links_passes(clock: Clock) -> None:
    gate, starts = make_gate(), []
    for link in paced(3):
        deadline = Deadline(600, clock)
        gate.wait(link, deadline)
        starts.append(clock.now)
        assert deadline.left_s == 600
        clock.now += 5
        # It asked after 2 of its 5 seconds.
        gate.report(link, replace(VIDEO, asked_at_s=clock.now - 3))
    assert starts == [1012, 1026, 1040]


def test_an_attempt_of_which_nothing_is_known_counts_from_its_end(clock: Clock) -> None:
    gate, (link, *_) = make_gate(), paced(1)
    gate.wait(link, Deadline(600, clock))
    clock.now += 7
    gate.report(link, ItemError(Outcome.TIMEOUT, "late"))
    gate.wait(link, Deadline(600, clock))
    assert clock.now == 1012 + 7 + 12


def test_other_hosts_are_neither_waited_for_nor_kept_waiting(clock: Clock) -> None:
    gate = make_gate()
    for link in others(3):
        gate.wait(link, Deadline(600, clock))
        gate.report(link, VIDEO)
    assert clock.now == 1000


def test_a_lane_does_other_links_until_its_own_are_due(clock: Clock) -> None:
    gate, (a, b), (x, y, z) = make_gate(), paced(2), others(3)
    taken = []
    for link in gate.order([a, b, x, y, z]):
        taken.append((link, clock.now))
        gate.wait(link, Deadline(600, clock))
        clock.now += 8
        gate.report(link, replace(VIDEO, asked_at_s=clock.now - 8))
    assert taken == [(x, 1000), (y, 1008), (a, 1016), (z, 1024), (b, 1032)]


def test_being_stopped_ends_the_wait() -> None:
    deadline = Deadline(600)
    ends = threading.Timer(0.1, deadline.stopped.set)
    ends.start()
    with pytest.raises(ItemError, match="stopped"):
        make_gate().wait(paced(1)[0], deadline)
    ends.join()


def ask(gate: HostGate, clock: Clock, links: list[Link], *, throttled: bool = True) -> list[str]:
    """Attempt each link once; gives the details of those that were not asked for."""
    refused = []
    for link in links:
        try:
            gate.wait(link, Deadline(600, clock))
        except ItemError as error:
            assert error.outcome is Outcome.DEFERRED
            refused.append(error.detail)
        else:
            gate.report(link, ItemError(Outcome.THROTTLED, NOT_A_BOT) if throttled else VIDEO)
    return refused


@pytest.mark.parametrize(
    ("links", "n_slots", "allowed"),
    [(paced(9), 8, 5), (others(9), 1, 5), (others(9), 2, 3), (others(9), 4, 2), (others(9), 8, 2)],
)
def test_a_host_that_throttles_is_left_alone_by_all_who_ask_it_together(
    clock: Clock, links: list[Link], n_slots: int, allowed: int
) -> None:
    gate = make_gate(n_slots=n_slots)
    before = clock.now
    assert ask(gate, clock, links) == [f"throttled: {NOT_A_BOT}"] * (9 - allowed)
    is_paced = "slow.org" in links[0].url
    assert clock.now - before == (allowed * 12 if is_paced else 0)


def test_of_a_host_that_throttled_one_link_at_a_time_tries_again(clock: Clock) -> None:
    gate, (a, b, c) = make_gate(n_slots=1), others(3)
    for link in (a, b):
        gate.wait(link, Deadline(600, clock))
    gate.report(a, ItemError(Outcome.THROTTLED, NOT_A_BOT))
    deadline = Deadline(600)
    trying = threading.Thread(target=gate.wait, args=(c, deadline))
    trying.start()
    trying.join(0.3)
    assert trying.is_alive()
    gate.report(b, VIDEO)
    trying.join(60)
    assert not trying.is_alive()


def test_an_attempt_that_was_stopped_while_it_waited_is_no_longer_counted(clock: Clock) -> None:
    gate, (link,) = make_gate(), others(1)
    noting = gate._noting

    class Counts(dict[str, int]):
        def __setitem__(self, host: str, count: int) -> None:
            assert noting.locked()  # another thread counts too
            super().__setitem__(host, count)

    gate._asking = Counts({"fast.org": 0})  # type: ignore[assignment]
    clock.set()
    with pytest.raises(ItemError, match="stopped"):
        gate.wait(link, Deadline(600, clock))
    assert gate._asking["fast.org"] == 0


def test_an_answer_between_throttles_keeps_a_host_in(clock: Clock) -> None:
    gate = make_gate()
    for link in paced(4):
        assert ask(gate, clock, [link] * 4) == []
        assert ask(gate, clock, [link], throttled=False) == []


def test_a_breaker_outlives_the_task_and_keeps_to_its_host(clock: Clock) -> None:
    throttles: Throttles = {}
    assert len(ask(make_gate(throttles), clock, others(4))) == 1
    assert len(ask(make_gate(throttles), clock, others(4))) == 4
    assert ask(make_gate(throttles), clock, paced(2)) == []


def test_links_behind_an_open_breaker_are_given_up_at_once(clock: Clock) -> None:
    gate, (a, b), (x, y) = make_gate({"slow.org": [NOT_A_BOT] * 5}), paced(2), others(2)
    assert list(gate.order([a, x, b, y])) == [a, b, x, y]


def test_a_lane_is_held_from_the_first_attempt_at_a_link_to_the_last(clock: Clock) -> None:
    gate, (a, b), (x,) = make_gate(), paced(2), others(1)
    clock.now += 60  # the lane is due
    order = gate.order([a, b, x])
    with gate.hold(next(order), Deadline(600)):
        # The other link is not the lane's, so it may pass.
        assert next(order) is x
        with gate.hold(x, Deadline(600)):
            pass
        deadline = Deadline(600)
        deadline.stopped.set()
        with pytest.raises(ItemError, match="stopped"), gate.hold(b, deadline):
            pass
    with gate.hold(b, Deadline(600)):
        pass


def test_the_next_link_waits_while_its_host_rests_and_is_left_where_that_takes_too_long(
    clock: Clock,
) -> None:
    gate, (x, y, z) = make_gate(), others(3)
    for link, rest_s in ((x, 30), (z, 700)):
        gate.wait(link, Deadline(600, clock))
        gate.report(link, ItemError(Outcome.THROTTLED, NOT_A_BOT, retry_after_s=rest_s))
        if link is x:
            gate.wait(y, Deadline(600, clock))
            assert clock.now == 1030
            gate.report(y, VIDEO)
    with pytest.raises(ItemError, match=NOT_A_BOT) as left:
        gate.wait(y, Deadline(600, clock))
    assert left.value.outcome is Outcome.DEFERRED
    assert clock.now == 1030
