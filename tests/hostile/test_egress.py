"""No way to a denied host: its spellings, in every place where a link can stand.

Every spelling is held against the policy, and three against each place; `make soak` tries them all
in all places. Listeners on loopback count whoever connects. Most cases run in the child alone,
which is told what names resolve to; some of each kind go the whole way.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hostile import spellings
from hostile.warm import WarmChild
from lists import as_links
from servers import Answer, answer, content, redirect
from servers.manifests import dash, hls, hls_master, videos
from servers.traps import Traps, traps
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.ip_addresses import DENIED_NETWORKS, is_denied_address
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.sandbox.children import Deadline
from trailergenre.links.canonical import LinkError, parse_link
from trailergenre.videos.downloader import Downloader

POSITIONS = ("redirect", "embed", "manifest", "key")
"""Besides the link itself, which `parse_link` refuses before any child is asked."""

# SIOCSIFFLAGS with IFF_UP: a new namespace's loopback is down, and `ip` may not be there.
_PYTEST_ON_LOOPBACK = """
import fcntl, socket, struct, sys, pytest
with socket.socket() as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 1))
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> WarmChild:
    return WarmChild(tmp_path_factory.mktemp("warm"))


@pytest.fixture
def trap() -> Iterator[Traps]:
    """Fails the test where anybody came."""
    with traps() as made:
        yield made
        assert made.accepted == []


def leading(position: str, target: str) -> dict[str, Answer]:
    """A server whose only link leads to the target."""
    ways = {
        "redirect": redirect(target),
        "embed": videos([target]),
        "manifest": hls([target]),
        "master": hls_master([target]),
        "base": dash(target),
        "key": hls(["x.ts"], key=f'METHOD=AES-128,URI="{target}"'),
    }
    return {"/clip.mp4": ways[position], "/x.ts": content(b"\0" * 1600)}


def follow(warm: WarmChild, position: str, target: str) -> Outcome:
    """Give the child a link that leads to the target; how that ended."""
    names = {name.lower().removesuffix("."): [ip] for name, ip in spellings.NAMES.items()}
    if position == "link":
        return Outcome(warm.fetch(target, names=names)["outcome"])
    with answer(leading(position, target)) as server:
        url = f"http://{server.address}/clip.mp4"
        ended = warm.fetch(url, allow=[server.address], names=names)
        assert server.requests
        return Outcome(ended["outcome"])


def refusal(link: str) -> RowOutcome:
    with pytest.raises(LinkError) as raised:
        parse_link(link, links=LinksConfig(), network=NetworkConfig())
    return raised.value.row_outcome


@pytest.mark.parametrize("host", [h for h in spellings.HOSTS if h not in spellings.NAMES])
def test_spelling_is_no_link(host: str) -> None:
    for port in ("", ":80", ":443", ":8123"):
        assert refusal(f"http://{host}{port}/x.mp4") is RowOutcome.HOST_DENIED


@pytest.mark.parametrize("form", spellings.LINKS)
def test_link_around_an_address_is_none(form: str) -> None:
    assert refusal(form.format(host="127.0.0.1:80")) in {
        RowOutcome.HOST_DENIED,
        RowOutcome.LINK_INVALID,
        RowOutcome.SCHEME_REFUSED,
    }


@pytest.mark.parametrize("port", spellings.PORTS)
def test_other_ports_are_no_link(port: str) -> None:
    assert refusal(f"https://example.org:{port}/x.mp4") in {
        RowOutcome.HOST_DENIED,
        RowOutcome.LINK_INVALID,
    }


def test_random_denied_address_is_no_link_in_any_spelling() -> None:
    rng = random.Random(7)
    for network in DENIED_NETWORKS:
        for _ in range(40):
            address = network[rng.randrange(min(network.num_addresses, 2**32))]
            assert is_denied_address(str(address))
            hosts = [f"[{address.compressed}]", f"[{address.exploded}]"]
            if address.version == 4:
                value, parts = int(address), str(address).split(".")
                hosts = [str(value), hex(value), f"0{value:o}", f"{address}."]
                hosts += [".".join(rng.choice([p, hex(int(p)), f"0{int(p):o}"]) for p in parts)]
                hosts += [f"{parts[0]}.{value & 0xFFFFFF}", f"[::ffff:{address}]"]
            for host in hosts:
                assert refusal(f"http://{host}/x") is RowOutcome.HOST_DENIED, host


@pytest.mark.parametrize("position", ["link", *POSITIONS, "master", "base"])
def test_loopback_is_denied_wherever_it_stands(position: str, warm: WarmChild, trap: Traps) -> None:
    target = f"http://127.0.0.1:{trap.port}/x.mp4"
    assert follow(warm, position, target) is Outcome.HOST_DENIED


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param(spellings.THREE, id="three"),
        pytest.param(spellings.HOSTS, id="all", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("position", POSITIONS)
def test_every_spelling_is_denied_wherever_it_stands(
    position: str, hosts: Sequence[str], warm: WarmChild, trap: Traps
) -> None:
    ended = {host: follow(warm, position, f"http://{host}:{trap.port}/x.mp4") for host in hosts}
    not_reached = {host for host, end in ended.items() if end is not Outcome.HOST_DENIED}
    assert not_reached <= set(spellings.NOBODYS)
    assert {ended[host] for host in not_reached} <= {Outcome.DNS, Outcome.LINK_INVALID}


def test_spelling_that_no_list_refused_is_denied_by_the_child(warm: WarmChild, trap: Traps) -> None:
    # A list cannot know where a name leads.
    for host in (*spellings.NAMES, "127.1", "0x7f.1", "①②⑦.⓪.⓪.①", "[::ffff:7f00:1]", "0"):
        link = f"http://{host}:{trap.port}/x.mp4"
        assert follow(warm, "link", link) is Outcome.HOST_DENIED


@pytest.mark.slow
@pytest.mark.parametrize(
    "position", ["link", *(pytest.param(p, marks=pytest.mark.soak) for p in POSITIONS)]
)
def test_no_way_to_write_a_link_leads_to_the_trap(
    position: str, warm: WarmChild, trap: Traps
) -> None:
    harmless = {
        Outcome.HOST_DENIED,
        Outcome.LINK_INVALID,
        Outcome.DNS,  # the part behind the \ is the host
        Outcome.UNAVAILABLE,  # a path of the server that led there
    }
    for form in spellings.LINKS:
        target = form.format(host=f"127.0.0.1:{trap.port}")
        assert follow(warm, position, target) in harmless, form


def test_name_that_resolves_anew_is_denied(warm: WarmChild) -> None:
    with (
        answer({"/clip.mp4": content(b"\0" * 1600)}) as server,
        traps(("127.0.0.2",), server.server_address[1]) as trap,
    ):
        # The allowed address stands for a public one: it serves the page, but not the file.
        url = f"http://rebind.example:{trap.port}/clip.mp4"
        answers = {"rebind.example": ["127.0.0.1", "127.0.0.2"]}
        ended = warm.fetch(url, allow=[server.address], names=answers)
        assert server.requested == {"/clip.mp4": 1}
        assert (ended["outcome"], trap.accepted) == (Outcome.HOST_DENIED, [])


def test_trap_counts_who_comes(warm: WarmChild) -> None:
    with traps() as trap:
        place = f"127.0.0.1:{trap.port}"
        ended = warm.fetch(f"http://{place}/x.mp4", allow=[place])
        assert (ended["outcome"], trap.accepted) == (Outcome.UNAVAILABLE, ["127.0.0.1"])


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::1]"])
def test_whole_way_denies_what_no_list_refused(host: str, trap: Traps, tmp_path: Path) -> None:
    (link,) = as_links([f"http://{host}:{trap.port}/x.mp4"])
    downloader = Downloader(LinksConfig(), NetworkConfig(), LimitsConfig())
    with pytest.raises(ItemError) as raised:
        downloader.fetch(link, tmp_path, Deadline(60))
    assert raised.value.outcome is Outcome.HOST_DENIED


@pytest.mark.slow
def test_same_holds_where_there_is_no_network_but_loopback() -> None:
    """The tests above once more, in a network namespace of their own.

    Skipped where the kernel gives none to a user, which CI=true does not let pass.
    """
    unshare = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("the kernel gives users no network namespace")
    others = ["-q", "-m", "not slow and not soak", "-k", "wherever or anew or counts or whole_way"]
    command = [*unshare, sys.executable, "-c", _PYTEST_ON_LOOPBACK, __file__, *others]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
