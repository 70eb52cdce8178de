"""The address of a store: its normal form, and its form without secrets."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote


def normalize_address(address: str) -> str:
    """Normalize an address.

    >>> normalize_address("s3a://bucket/run/")
    's3://bucket/run'
    """
    if "://" not in address:
        return Path(address).expanduser().absolute().as_uri()
    scheme, rest = address.split("://", 1)
    scheme = "s3" if scheme.lower() in {"s3a", "s3n"} else scheme.lower()
    return f"{scheme}://{rest.rstrip('/') if scheme != 'file' or rest != '/' else rest}"


def redact_address(address: str) -> str:
    """Remove user info and query from an address; a local path stays as it is.

    >>> redact_address("s3a://key:secret@bucket/run?endpoint_override=127.0.0.1")
    's3a://bucket/run'
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme.lower() == "file":
        return address
    return f"{scheme}://{rest[_user_info_end(rest) :].partition('?')[0]}"


def _user_info_end(rest: str) -> int:
    """Find the end of the user info, before an @; pasted keys often contain slashes."""
    authority = rest.partition("?")[0].partition("/")[0]
    _, colon, port = authority.partition(":")
    if "@" in authority:
        return authority.rindex("@") + 1
    return rest.rfind("@") + 1 if colon and not port.isdecimal() else 0


def list_secrets(address: str) -> list[str]:
    """List what `redact_address` removes, in full and in parts, longest first."""
    scheme, _, rest = address.partition("://")
    if scheme == "file":
        return []
    end = _user_info_end(rest)
    user_info, query = rest[: max(0, end - 1)], rest[end:].partition("?")[2]
    values = [pair.partition("=")[2] for pair in query.split("&")]
    secrets = {user_info, query, user_info.partition(":")[2], *values}
    secrets |= {unquote(secret) for secret in secrets}
    return sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)
