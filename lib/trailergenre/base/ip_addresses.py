"""Which IP addresses downloads must not connect to.

Imports the standard library only, to keep the download child small.
"""

from __future__ import annotations

import ipaddress

# Spelled out, because Python releases disagree on `ipaddress.is_global` for several of these. The
# classes are those of Stripe's egress proxy Smokescreen.
DENIED_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' shared addresses
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host, a public address that serves metadata
        "169.254.0.0/16",  # link-local, with the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with broadcast
        # IPv6 outside 2000::/3 is not public, or leads to an IPv4 address of the writer's choice.
        "::/3",
        "2001::/23",  # protocol assignments, with Teredo, benchmarks and ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to an IPv4 address
        "3fff::/20",  # documentation
        "4000::/2",
        "8000::/1",
    )
)
"""Networks that are denied, unless the configuration allows an address and port."""


def is_denied_address(ip: str) -> bool:
    """Whether an address is loopback, private, reserved, or hides an IPv4 address.

    Anything but an address in its usual spelling is denied, too: names must be resolved first.

    >>> is_denied_address("127.0.0.1"), is_denied_address("::ffff:127.0.0.1")
    (True, True)
    >>> is_denied_address("142.250.74.78")
    False
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in DENIED_NETWORKS)
