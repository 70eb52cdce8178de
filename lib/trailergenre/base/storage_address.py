"""The address of a store: its normal form, and what may stand in it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

from trailergenre.base.errors import StorageError

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "abfss": "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    "hdfs": "HADOOP_USER_NAME",
}
"""Variables of the environment by which each kind of storage is told who asks."""

_PARAMETERS = {
    *("allow_bucket_creation", "endpoint_override", "region", "scheme", "tls_ca_file_path"),  # s3
    *("endpoint_override", "project_id", "scheme"),  # gs
    *("kerb_ticket", "replication"),  # hdfs
}
"""Parameters of pyarrow's addresses that hold no secret."""

_AZURE = re.compile(r"[a-z0-9-]{3,63}@[a-z0-9]{3,24}\.(dfs|blob)\.core\.windows\.net")
"""Container and account."""


def normalize_address(address: str) -> str:
    """Normalize an address, which holds no credentials.

    >>> normalize_address("s3a://bucket/run/?region=eu-west-1")
    's3://bucket/run?region=eu-west-1'

    Raises:
        StorageError: the scheme is unknown, or the address holds credentials; never repeats it.
    """
    if "://" not in address:
        return Path(address).expanduser().absolute().as_uri()
    scheme, rest = address.split("://", 1)
    scheme = "s3" if scheme.lower() in {"s3a", "s3n"} else scheme.lower()
    if scheme not in {"file", *_CREDENTIALS}:
        shown = repr(scheme) if re.fullmatch("[a-z][a-z0-9]{0,9}", scheme) else "of the address"
        raise StorageError(
            f"The scheme {shown} is unknown.",
            "Use a local path, s3://, gs://, abfss:// or hdfs://.",
        )
    place, mark, query = rest.partition("?")
    _check(scheme, place.partition("/")[0], query)
    return f"{scheme}://{place.rstrip('/') or '/'}{mark}{query}"


def _check(scheme: str, authority: str, query: str) -> None:
    """Refuse user names, keys and unknown parameters, also where they are percent-encoded."""
    user, at, host = unquote(authority).rpartition("@")
    _, colon, port = host.rpartition("]")[2].partition(":")  # behind an IPv6 address
    # A pasted secret may contain a slash, which ends the authority: s3://KEY:SEC/RET@bucket
    is_host = not colon or (scheme == "hdfs" and port.isdecimal())
    is_user = (scheme, user) == ("gs", "anonymous")
    is_user |= scheme == "abfss" and _AZURE.fullmatch(authority) is not None
    names = {unquote(pair.partition("=")[0]) for pair in query.split("&") if pair}
    if (at and not is_user) or not is_host or "@" in unquote(query):
        problem = "holds a user name or a key"
    elif names - _PARAMETERS:
        problem = f"has a parameter that is none of {', '.join(sorted(_PARAMETERS))}"
    else:
        return
    instead = f" and set {_CREDENTIALS[scheme]} in the environment" if scheme != "file" else ""
    raise StorageError(
        f"The {scheme}:// address {problem}. It is not repeated here, as it may be secret.",
        f"Remove that{instead}.",
    )


def join_address(address: str, path: str) -> str:
    """Join a normal address and a path below it.

    >>> join_address("s3://bucket/run?region=eu-west-1", "fold-0")
    's3://bucket/run/fold-0?region=eu-west-1'
    """
    place, mark, query = address.partition("?")
    return f"{place.removesuffix('/')}/{quote(path)}{mark}{query}"
