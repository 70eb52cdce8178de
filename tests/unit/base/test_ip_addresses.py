"""Which numeric addresses are denied: the table of the address policy."""

from __future__ import annotations

import pytest

from trailergenre.base.ip_addresses import is_denied_address


@pytest.mark.parametrize(
    "ip",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.170",
        "192.168.1.1",
        "198.19.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",  # hides a public one; NAT64 is refused whole
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fd00:ec2::254",
        "fe80::1%lo",
        "fec0::1",
        "ff02::1",
        # not an address in its usual spelling: fail closed
        "127.1",
        "2130706433",
        "example.org",
        "",
    ],
)
def test_private_reserved_and_unreadable_addresses_are_denied(ip: str) -> None:
    assert is_denied_address(ip)


@pytest.mark.parametrize(
    "ip",
    ["8.8.8.8", "172.32.0.1", "100.128.0.1", "168.63.129.17", "2a00:1450::1", "::ffff:8.8.8.8"],
)
def test_public_addresses_are_not(ip: str) -> None:
    assert not is_denied_address(ip)
