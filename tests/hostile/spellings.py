"""Hosts that no trailer comes from, in the spellings in which a link may hide them."""

from __future__ import annotations

NUMERIC = (
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.0.0.001",
    "0177.1",
    "127.0.0.2",
    "2130706433",
    "017700000001",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "0xa9fea9fe",
    "172.16.0.1",
    "192.168.0.1",
    "224.0.0.1",
    "255.255.255.255",
)
"""IPv4 addresses as the C library reads them."""

BRACKETED = (
    "[::]",
    "[::1]",
    "[0000::1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2001::1]",
    "[2002:7f00:1::]",
    "[fd00:ec2::254]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[ff02::1]",
)
"""IPv6 addresses, several of which hide an IPv4 one."""

UNICODE = (
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",
    "ｌｏｃａｌｈｏｓｔ",
)
"""What IDNA unfolds to an address or a name of this machine."""

NAMES = {
    "localhost": "127.0.0.1",
    "LOCALHOST.": "127.0.0.1",
    "foo.localhost": "127.0.0.1",
    "ip6-localhost": "::1",
    "127.0.0.1.nip.example": "127.0.0.1",
    "metadata.google.example": "169.254.169.254",
}
"""Names, and what the resolver of the tests says of them."""

LINKS = (
    "http://good.example@{host}/x",
    "http://good.example:80@{host}/x",
    "http://{host}\\@good.example/x",
    "http://{host}\t/x",
    "http://\t{host}/x",
    "http:/{host}/x",
    "http:{host}/x",
    "//{host}/x",
    "http:///{host}/x",
    "http:\\\\{host}\\x",
    "HTTP://{host}/x",
    "http://{host}#@good.example/",
    "http://{host}?@good.example/",
)
"""Ways to write a link around `127.0.0.1:PORT`."""

PORTS = ("22", "25", "6000", "6066", "8080", "27017", "0", "99999")
"""Ports that no trailer comes from, whatever the host."""

NOBODYS = ("127.0.0.1.", *UNICODE)
"""Spellings to us and to browsers alone: to the C library they may be names of nobody."""

HOSTS = (*NUMERIC, *BRACKETED, *UNICODE, *NAMES)

THREE = ("2130706433", "[::ffff:7f00:1]", "foo.localhost")
"""A number, an address in an address, and a name."""
