from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import trailergenre
from trailergenre.base.outcomes import Outcome
from trailergenre.videos import egress_guard as guarding
from trailergenre.videos.egress_guard import MAX_CONNECTIONS, Guard, is_own_address

PUBLIC = ("142.250.74.78", 443)


def guard(*, allow: tuple[str, ...] = (), proxy: tuple[str, ...] = ()) -> Guard:
    return Guard(allow=frozenset(allow), proxy=frozenset(proxy), program="/opt/deno")


def connect(judge: Guard, address: object, event: str = "socket.connect") -> None:
    judge.check(event, (None, address))


@pytest.mark.parametrize("event", ["socket.connect", "socket.sendto", "socket.sendmsg"])
@pytest.mark.parametrize(
    "address",
    [
        ("127.0.0.1", 80),
        ("::1", 443, 0, 0),
        ("fe80::1%eth0", 443, 0, 2),
        ("::ffff:10.0.0.1", 443, 0, 0),
        ("169.254.169.254", 80),
        ("localhost", 80),
        ("142.250.74.78", 22),
        "/var/run/docker.sock",
        b"\0abstract",
    ],
)
def test_what_is_refused(event: str, address: object) -> None:
    judge = guard()
    with pytest.raises(PermissionError):
        connect(judge, address, event)
    assert [refusal.outcome for refusal in judge.refusals] == [Outcome.HOST_DENIED]
    assert judge.connections == []
    assert judge.asked_at_s is None


def test_public_servers_are_reached_and_written_down_once_each() -> None:
    judge = guard()
    connect(judge, PUBLIC)
    connect(judge, ("2606:2800:220:1::1", 80, 0, 0))
    connect(judge, PUBLIC)
    assert judge.connections == ["142.250.74.78:443", "[2606:2800:220:1::1]:80"]
    assert judge.refusals == []
    assert judge.asked_at_s is not None


def test_list_of_servers_is_bounded() -> None:
    judge = guard()
    for number in range(2 * MAX_CONNECTIONS):
        connect(judge, (f"142.250.74.{number}", 443))
    assert len(judge.connections) == MAX_CONNECTIONS


def test_an_exception_is_for_one_address_and_port() -> None:
    judge = guard(allow=("127.0.0.1:8123",))
    connect(judge, ("127.0.0.1", 8123))
    for address in (("127.0.0.1", 8124), ("127.0.0.2", 8123)):
        with pytest.raises(PermissionError):
            connect(judge, address)


def test_an_address_of_this_machine_is_refused_though_public(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarding, "is_own_address", lambda ip: ip == PUBLIC[0])
    judge = guard()
    with pytest.raises(PermissionError, match="this machine"):
        connect(judge, PUBLIC)


@pytest.mark.parametrize(
    ("ip", "is_own"),
    [("127.0.0.1", True), ("8.8.8.8", False), ("2606:2800:220:1::1", False)],
)
def test_own_addresses_are_known(ip: str, is_own: bool) -> None:
    assert is_own_address(ip) is is_own


def test_nothing_is_told_where_every_address_can_be_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarding, "_can_bind", lambda family, ip: True)
    assert not is_own_address("8.8.8.8")


def test_with_a_proxy_nothing_else_is_reached() -> None:
    judge = guard(allow=("127.0.0.1:8123",), proxy=("10.0.0.7:3128",))
    connect(judge, ("10.0.0.7", 3128))
    for address in (PUBLIC, ("127.0.0.1", 8123)):
        with pytest.raises(PermissionError, match="past the proxy"):
            connect(judge, address)


def test_a_message_over_a_connected_socket_was_judged_before() -> None:
    judge = guard()
    connect(judge, None, "socket.sendmsg")
    assert judge.refusals == []


def test_only_one_program_may_be_started() -> None:
    judge = guard()
    judge.check("subprocess.Popen", ("/opt/deno", ["/opt/deno", "--version"], None, {}))
    for program in ("/usr/bin/ffmpeg", "deno", "/bin/sh"):
        with pytest.raises(PermissionError, match="program"):
            judge.check("subprocess.Popen", (program, [program], None, {}))


@pytest.mark.parametrize(
    "event", ["os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"]
)
def test_no_other_way_to_start_one(event: str) -> None:
    with pytest.raises(PermissionError):
        guard().check(event, ("sh",))


def test_names_are_resolved_without_being_judged() -> None:
    judge = guard()
    judge.check("socket.getaddrinfo", ("localhost", 80, 0, 0, 0))
    judge.check("socket.bind", (None, ("::1", 0)))
    assert judge.refusals == []


# In a process of its own, because an audit hook cannot be removed.
MESSAGES = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from trailergenre.videos.egress_guard import Guard

guard = Guard(allow=frozenset(), proxy=frozenset(), program="")
sys.addaudithook(guard.check)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for send in (
        lambda place: sender.sendto(b"x", place),
        lambda place: sender.sendmsg([b"x"], [], 0, place),
        lambda place: sender.connect(place),
    ):
        try:
            send(("127.0.0.1", 53))
        except PermissionError:
            print("refused")
"""


def test_messages_without_a_connection_are_judged_too() -> None:
    home = str(Path(trailergenre.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-I", "-c", MESSAGES, home], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["refused"] * 3
