"""What only the driver can read for a download: the proxy's address and the cookies.

Read once, before the first download; both travel to the workers in the settings and from there
through a pipe, never on a command line, in an environment or in a table.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from trailergenre.base.config import NetworkConfig
from trailergenre.base.errors import ConfigError

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_COOKIE_HEADER = re.compile(r"#( Netscape)? HTTP Cookie File")


def read_proxy(network: NetworkConfig) -> str | None:
    """The address of the proxy, with its user name and password; None where none is asked for.

    Raises:
        ConfigError: the variable is not set, or does not hold such an address.
    """
    variable = network.proxy_variable
    if variable is None:
        return None
    address = os.environ.get(variable, "").strip()
    what = f"a proxy's address: scheme://host:port, the scheme one of {', '.join(_PROXY_SCHEMES)}"
    if not address:
        raise ConfigError(
            f"network.proxy_variable names {variable}, which is not set. Set it to {what}."
        )
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        is_usable = False
    if not is_usable:
        # What was received may be a password: it is not shown.
        raise ConfigError(f"{variable} does not hold {what}.")
    return address


def read_cookies(network: NetworkConfig) -> str | None:
    """The content of the cookie file; None where none is asked for.

    Raises:
        ConfigError: it cannot be read, is not in Netscape's format, or is meant for all sites.
    """
    if network.cookie_file is None:
        return None
    if "generic" in {site.lower() for site in network.cookie_sites}:
        raise ConfigError(
            "network.cookie_sites may not hold 'generic', which stands for every other site. "
            "Name the sites that the cookies belong to."
        )
    path = Path(network.cookie_file).expanduser()
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The cookie file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        content = ""
    first, *lines = content.splitlines() or [""]
    # Not by http.cookiejar, whose complaints quote the file.
    if not _COOKIE_HEADER.match(first) or not any(line.count("\t") == 6 for line in lines):
        raise ConfigError(
            f"The cookie file {path} is not in Netscape's cookie format, which begins with "
            "'# Netscape HTTP Cookie File'. Export it with a browser's add-on for that format."
        )
    return content
