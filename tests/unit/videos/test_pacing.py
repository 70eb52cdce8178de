from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lists import as_links
from trailergenre.base.config import HostConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos.pacing import HostPacer, HostState, HostStates, assign_lanes, find_host

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


def make_pacer(states: HostStates | None = None, *, n_slots: int = 2) -> HostPacer:
    shared = HostStates(HostState) if states is None else states
    return HostPacer(HOSTS, shared, n_slots=n_slots, max_rest_s=900)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://slow.org/x", "slow.org"),
        ("http://m.www.slow.org:8080/x", "slow.org"),
        ("https://very.slow.org/x", "very.slow.org"),
        ("https://notslow.org/x", None),
        ("https://slow.org.evil.net/slow.org", None),
        ("http://www.slow.org./x", "slow.org"),
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
    parts, rest = assign_lanes(links, hosts, n_slots=n_slots)
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
    lanes, rest = assign_lanes([kept, damaged, new], HOSTS, n_slots=8, kept=ids)
    assert lanes == [[damaged, new, kept]]
    assert rest == []


def test_starts_are_apart_from_the_first_on_and_no_time_of_the_links_passes(clock: Clock) -> None:
    pacer, starts = make_pacer(), []
    for link in paced(3):
        deadline = Deadline(600, clock)
        pacer.wait(link, deadline)
        starts.append(clock.now)
        assert deadline.left_s == 600
        clock.now += 5
        # It asked after 2 of its 5 seconds.
        pacer.record(link, replace(VIDEO, asked_at_s=clock.now - 3))
    assert starts == [1012, 1026, 1040]


def test_an_attempt_of_which_nothing_is_known_counts_from_its_end(clock: Clock) -> None:
    pacer, (link, *_) = make_pacer(), paced(1)
    pacer.wait(link, Deadline(600, clock))
    clock.now += 7
    pacer.record(link, ItemError(Outcome.TIMEOUT, "late"))
    pacer.wait(link, Deadline(600, clock))
    assert clock.now == 1012 + 7 + 12


def test_other_hosts_are_neither_waited_for_nor_kept_waiting(clock: Clock) -> None:
    pacer = make_pacer()
    for link in others(3):
        pacer.wait(link, Deadline(600, clock))
        pacer.record(link, VIDEO)
    assert clock.now == 1000


def test_a_lane_does_other_links_until_its_own_are_due(clock: Clock) -> None:
    pacer, (a, b), (x, y, z) = make_pacer(), paced(2), others(3)
    taken = []
    for link in pacer.order([a, b, x, y, z]):
        taken.append((link, clock.now))
        pacer.wait(link, Deadline(600, clock))
        clock.now += 8
        pacer.record(link, replace(VIDEO, asked_at_s=clock.now - 8))
    assert taken == [(x, 1000), (y, 1008), (a, 1016), (z, 1024), (b, 1032)]


def test_being_stopped_ends_the_wait() -> None:
    deadline = Deadline(600)
    ends = threading.Timer(0.1, deadline.stopped.set)
    ends.start()
    with pytest.raises(ItemError, match="stopped"):
        make_pacer().wait(paced(1)[0], deadline)
    ends.join()


def ask(pacer: HostPacer, clock: Clock, links: list[Link], *, throttled: bool = True) -> list[str]:
    """Attempt each link once; gives the details of those that were not asked for."""
    refused = []
    for link in links:
        try:
            pacer.wait(link, Deadline(600, clock))
        except ItemError as error:
            assert error.outcome is Outcome.THROTTLED
            refused.append(error.detail)
        else:
            pacer.record(link, ItemError(Outcome.THROTTLED, NOT_A_BOT) if throttled else VIDEO)
    return refused


@pytest.mark.parametrize(
    ("links", "n_slots", "allowed"),
    [(paced(9), 8, 5), (others(9), 1, 5), (others(9), 2, 3), (others(9), 4, 2), (others(9), 8, 2)],
)
def test_a_host_that_throttles_is_left_alone_by_all_who_ask_it_together(
    clock: Clock, links: list[Link], n_slots: int, allowed: int
) -> None:
    pacer = make_pacer(n_slots=n_slots)
    before = clock.now
    assert ask(pacer, clock, links) == [NOT_A_BOT] * (9 - allowed)
    is_paced = "slow.org" in links[0].url
    assert clock.now - before == (allowed * 12 if is_paced else 0)


def test_of_a_host_that_throttled_one_link_at_a_time_tries_again(clock: Clock) -> None:
    pacer, (a, b, c) = make_pacer(n_slots=1), others(3)
    for link in (a, b):
        pacer.wait(link, Deadline(600, clock))
    pacer.record(a, ItemError(Outcome.THROTTLED, NOT_A_BOT))
    deadline = Deadline(600)
    trying = threading.Thread(target=pacer.wait, args=(c, deadline))
    trying.start()
    trying.join(0.3)
    assert trying.is_alive()
    pacer.record(b, VIDEO)
    trying.join(60)
    assert not trying.is_alive()


def test_an_attempt_that_was_stopped_while_it_waited_is_no_longer_counted(clock: Clock) -> None:
    pacer, (link,) = make_pacer(), others(1)
    lock = pacer._lock

    class Counts(Counter[str]):
        def __setitem__(self, host: str, count: int) -> None:
            assert lock.locked()  # another thread counts too
            super().__setitem__(host, count)

    pacer._attempts = Counts()
    clock.set()
    with pytest.raises(ItemError, match="stopped"):
        pacer.wait(link, Deadline(600, clock))
    assert pacer._attempts["fast.org"] == 0


def test_an_answer_between_throttles_keeps_a_host_in(clock: Clock) -> None:
    pacer = make_pacer()
    for link in paced(4):
        assert ask(pacer, clock, [link] * 4) == []
        assert ask(pacer, clock, [link], throttled=False) == []


def test_a_breaker_outlives_the_task_and_keeps_to_its_host(clock: Clock) -> None:
    states = HostStates(HostState)
    assert len(ask(make_pacer(states), clock, others(4))) == 1
    assert len(ask(make_pacer(states), clock, others(4))) == 4
    assert ask(make_pacer(states), clock, paced(2)) == []


def test_links_behind_an_open_breaker_are_given_up_at_once(clock: Clock) -> None:
    states = HostStates(HostState)
    states["slow.org"].n_throttled = 5
    pacer, (a, b), (x, y) = make_pacer(states), paced(2), others(2)
    assert list(pacer.order([a, x, b, y])) == [a, b, x, y]


def test_a_lane_is_held_from_the_first_attempt_at_a_link_to_the_last(clock: Clock) -> None:
    pacer, (a, b), (x,) = make_pacer(), paced(2), others(1)
    clock.now += 60  # the lane is due
    order = pacer.order([a, b, x])
    with pacer.lane(next(order), Deadline(600)):
        # The other link is not the lane's, so it may pass.
        assert next(order) is x
        with pacer.lane(x, Deadline(600)):
            pass
        deadline = Deadline(600)
        deadline.stopped.set()
        with pytest.raises(ItemError, match="stopped"), pacer.lane(b, deadline):
            pass
    with pacer.lane(b, Deadline(600)):
        pass


def test_the_next_link_waits_while_its_host_rests_and_is_left_where_that_takes_too_long(
    clock: Clock,
) -> None:
    pacer, (x, y, z) = make_pacer(), others(3)
    for link, rest_s in ((x, 30), (z, 700)):
        pacer.wait(link, Deadline(600, clock))
        pacer.record(link, ItemError(Outcome.THROTTLED, NOT_A_BOT, retry_after_s=rest_s))
        if link is x:
            pacer.wait(y, Deadline(600, clock))
            assert clock.now == 1030
            pacer.record(y, VIDEO)
    with pytest.raises(ItemError, match=NOT_A_BOT) as left:
        pacer.wait(y, Deadline(600, clock))
    assert left.value.outcome is Outcome.THROTTLED
    assert clock.now == 1030


@pytest.mark.parametrize("rest_s", [86400.0, 901.0, float("inf")])
def test_an_answer_under_way_does_not_make_a_long_rest_waited_for(
    clock: Clock, rest_s: float
) -> None:
    pacer, (a, b, *more) = make_pacer(n_slots=1), others(80)
    for link in (a, b):
        pacer.wait(link, Deadline(10**6, clock))
    pacer.record(a, ItemError(Outcome.THROTTLED, NOT_A_BOT, retry_after_s=rest_s))
    pacer.record(b, VIDEO)
    for link in more:
        with pytest.raises(ItemError, match=NOT_A_BOT):
            pacer.wait(link, Deadline(10**6, clock))
    assert clock.now == 1000
    # Other hosts are not affected.
    pacer.wait(paced(1)[0], Deadline(600, clock))


def test_all_the_rest_that_a_host_asks_for_is_bounded(clock: Clock) -> None:
    pacer, refused = make_pacer(n_slots=1), 0
    for link in others(40):
        try:
            # It answers every other time, so that it never throttles twice in a row.
            pacer.wait(link, Deadline(600, clock))
            pacer.record(link, ItemError(Outcome.THROTTLED, NOT_A_BOT, retry_after_s=300))
            pacer.wait(link, Deadline(600, clock))
            pacer.record(link, VIDEO)
        except ItemError:
            refused += 1
    assert clock.now == 1000 + 900
    assert refused == 37


def test_rests_that_overlap_count_once(clock: Clock) -> None:
    pacer, links = make_pacer(n_slots=1), others(4)
    for link in links:
        pacer.wait(link, Deadline(600, clock))
    for link, rest_s in zip(links, (500, 500, 400, 500), strict=True):
        pacer.record(link, ItemError(Outcome.THROTTLED, NOT_A_BOT, retry_after_s=rest_s))
    pacer.wait(links[0], Deadline(600, clock))
    assert clock.now == 1500


def test_a_host_rests_for_the_next_task_of_the_slot_too_and_its_bound_is_of_all(
    clock: Clock,
) -> None:
    states, (link,) = HostStates(HostState), others(1)
    for _ in range(3):
        pacer = make_pacer(states, n_slots=1)
        pacer.wait(link, Deadline(600, clock))
        pacer.record(link, ItemError(Outcome.THROTTLED, NOT_A_BOT, retry_after_s=400))
    with pytest.raises(ItemError, match=NOT_A_BOT):
        make_pacer(states, n_slots=1).wait(link, Deadline(600, clock))
    assert clock.now == 1800


def test_links_that_lead_to_paced_hosts_are_one_task() -> None:
    hosts = {"slow.org": HostConfig(lanes=3), "other.org": HostConfig(lanes=2)}
    led = [replace(link, leads_to=("slow.org",)) for link in [*others(3), *paced(3, "other.org")]]
    assert assign_lanes(led, hosts, n_slots=4) == ([led], [])


def test_a_link_waits_for_every_host_that_it_leads_to(clock: Clock) -> None:
    hosts = {"slow.org": HostConfig(seconds_between=12), "a.org": HostConfig(seconds_between=30)}
    pacer = HostPacer(hosts, HostStates(HostState), n_slots=2, max_rest_s=900)
    both, slow = (
        replace(link, leads_to=("slow.org",)) for link in (*paced(1, "a.org"), *others(1))
    )
    starts = []
    for link in (slow, both, slow, both):
        pacer.wait(link, Deadline(600, clock))
        starts.append(clock.now)
        clock.now += 5
        # When it came to the other host is not known: it counts from the end.
        pacer.record(link, replace(VIDEO, asked_at_s=clock.now - 5))
    assert starts == [1012, 1030, 1047, 1065]


def test_two_links_that_share_a_host_hold_its_lane_in_turn() -> None:
    hosts = {"slow.org": HostConfig(), "a.org": HostConfig()}
    pacer = HostPacer(hosts, HostStates(HostState), n_slots=2, max_rest_s=900)
    first, second = (
        replace(link, leads_to=(host,))
        for link, host in zip(
            as_links(["https://slow.org/x", "https://a.org/x"]), ("a.org", "slow.org"), strict=True
        )
    )
    deadline = Deadline(600)
    with pacer.lane(first, deadline):
        deadline.stopped.set()
        with pytest.raises(ItemError, match="stopped"), pacer.lane(second, deadline):
            pass
    with pacer.lane(second, Deadline(600)):
        pass
