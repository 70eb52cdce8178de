"""The kinds that no cell or answer decides alone: names, certificates, lists, models, disks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import servers.tls as tls
from bundles import make_bundle
from hostile.bench import Bench, Measured
from hostile.cases import Case
from servers import answer, content
from servers.traps import traps
from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.errors import RunError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.links.input_lists import read_input
from trailergenre.links.row_outcomes import prepare_rows
from trailergenre.models.bundle import read_bundle

REFUSED = "exit 2"
"""The run does not begin: one message, and nothing is written."""


def _named(url: str, names: dict[str, list[str]]) -> Callable[[Bench], Measured]:
    def measure(bench: Bench) -> Measured:
        ended = bench.warm.fetch(url, names=names)
        return Measured(ended["outcome"], bench.stable(ended["detail"]))

    return measure


def _rebinds(bench: Bench) -> Measured:
    """The name leads to an allowed server first, and to this machine when the file is fetched."""
    with (
        answer({"/clip.mp4": content(b"\0" * 1600)}) as server,
        traps(("127.0.0.2",), server.server_address[1]) as trap,
    ):
        url = f"http://rebind.example:{trap.port}/clip.mp4"
        names = {"rebind.example": ["127.0.0.1", "127.0.0.2"]}
        ended = bench.warm.fetch(url, allow=[server.address], names=names)
        assert trap.accepted == []
        return Measured(ended["outcome"], bench.stable(ended["detail"]))


def _refuses(bench: Bench) -> Measured:
    with answer() as server:
        address = server.address
    return bench.visit(f"http://{address}/x.mp4", allow=address, attempts=1)


def _certified(context: Callable[[], object], *, is_known: bool) -> Callable[[Bench], Measured]:
    """Ask a server with a certificate; its authority is known or not."""

    def measure(bench: Bench) -> Measured:
        with answer({"/x.mp4": content(bench.clip)}, context()) as server:  # type: ignore[arg-type]
            url = f"https://{server.address}/x.mp4"
            if not is_known:
                return bench.visit(url, allow=server.address)
            with tempfile.TemporaryDirectory(dir=bench.root) as name:
                authority = Path(name) / "authority.pem"
                tls.AUTHORITY.cert_pem.write_to_path(str(authority))
                ended = bench.warm.fetch(url, allow=[server.address], authority=authority)
            return Measured(ended["outcome"], bench.stable(ended["detail"]))

    return measure


NETWORK = [
    Case(
        "a name that resolves to another address the second time",
        Outcome.HOST_DENIED,
        _rebinds,
    ),
    Case(
        "a name that resolves to a private address",
        Outcome.HOST_DENIED,
        _named("http://printer.example/x.mp4", {"printer.example": ["192.168.0.1"]}),
    ),
    Case(
        "a name that does not resolve",
        Outcome.DNS,
        lambda bench: bench.visit("http://nobody.invalid/x.mp4", attempts=1),
    ),
    Case("no server on the port", Outcome.CONNECT, _refuses),
    Case("a self-signed certificate", Outcome.TLS, _certified(tls.right, is_known=False)),
    Case("an expired certificate", Outcome.TLS, _certified(tls.expired, is_known=True)),
    Case("a certificate for another host", Outcome.TLS, _certified(tls.wrong_host, is_known=True)),
    Case("a valid certificate", Outcome.OK, _certified(tls.right, is_known=True)),
]

_LINK = "https://example.org/1"


def _listed(text: bytes, *, row: int = -1) -> Callable[[Bench], Measured]:
    """Prepare a list; what becomes of one of its rows, or of the whole."""

    def measure(bench: Bench) -> Measured:
        with tempfile.TemporaryDirectory(dir=bench.root) as name:
            path = Path(name) / "list.csv"
            path.write_bytes(text)
            try:
                rows = prepare_rows(
                    read_input(path),
                    None,
                    links=LinksConfig(),
                    network=NetworkConfig(),
                    needs_genres=True,
                )
            except RunError as error:
                return Measured(f"exit {error.exit_code.value}", str(error).replace(name, "x"))
            return Measured(rows[row].outcome, rows[row].detail)

    return measure


def _rows(*links: str) -> bytes:
    return b"url,genres\n" + b"".join(f"{link},Drama\n".encode() for link in links)


LISTS = [
    Case("the same link twice", RowOutcome.DUPLICATE, _listed(_rows(_LINK, _LINK))),
    Case(
        "a link in two spellings",
        RowOutcome.DUPLICATE,
        _listed(
            _rows("https://youtu.be/eUTtt14G31c", "HTTP://WWW.YouTube.com/watch?v=eUTtt14G31c&t=3")
        ),
    ),
    Case("a byte-order mark", RowOutcome.READY, _listed(b"\xef\xbb\xbf" + _rows(_LINK))),
    Case("CRLF", RowOutcome.READY, _listed(_rows(_LINK).replace(b"\n", b"\r\n"))),
    Case("a cell of 10 MB", RowOutcome.LINK_INVALID, _listed(_rows(f"https://a.b/{'x' * 10**7}"))),
    Case("a row without genres", RowOutcome.NO_LABEL, _listed(_rows(_LINK) + b"https://a.b/,\n")),
    Case("no column `url`", REFUSED, _listed(b"title,genres\nx,Drama\n")),
    Case("a duplicate column", REFUSED, _listed(b"url,genres,genres\nx,y,z\n")),
    Case(
        "bytes that are not UTF-8",
        REFUSED,
        _listed(_rows(_LINK) + b"https://a.b/\xc3\xa9\xff,Drama\n"),
    ),
    Case("a quote that never closes", REFUSED, _listed(_rows(_LINK) + b'"https://a.b/,Drama\n')),
    Case("more cells than columns", REFUSED, _listed(_rows(_LINK) + b"https://a.b/,x,y\n")),
    Case("no rows", REFUSED, _listed(b"url,genres\n")),
]


def _damaged(name: str, change: Callable[[bytes], bytes]) -> Callable[[Bench], Measured]:
    """Read a model bundle of which one file was changed."""

    def measure(bench: Bench) -> Measured:
        with tempfile.TemporaryDirectory(dir=bench.root) as directory:
            store = Store(directory)
            make_bundle(store)
            store.write_bytes(name, change(store.read_bytes(name)))
            try:
                read_bundle(store)
            except RunError as error:
                detail = str(error).replace(directory, "x")
                return Measured(f"exit {error.exit_code.value}", detail)
            return Measured("read", "")

    return measure


FOREST = "forest.safetensors"

MODELS = [
    Case("a truncated manifest", REFUSED, _damaged("manifest.json", lambda c: c[:100])),
    Case(
        "a threshold that is not a number",
        REFUSED,
        _damaged("manifest.json", lambda c: c.replace(b"0.5", b"NaN", 1)),
    ),
    Case(
        "a changed byte",
        REFUSED,
        _damaged(FOREST, lambda c: c[:-1] + bytes([c[-1] ^ 1])),
    ),
    Case("a pickle", REFUSED, _damaged(FOREST, lambda _: b"\x80\x04}\x94.")),
]


def _left_behind(act: str) -> Callable[[Bench], Measured]:
    """Let the download child leave something else than a file, and say that all is well."""
    script = f"""
import json, os, sys
sys.path.insert(0, sys.argv[1])
from trailergenre.base.sandbox.fork_server import serve

def run():
    path = json.load(sys.stdin)["directory"] + "/x.mp4"
    {act}
    answer = {{"outcome": "ok", "detail": "", "connections": [], "asked_at_s": None}}
    print(json.dumps(answer), flush=True)

serve(run, iter(()))
"""

    def measure(bench: Bench) -> Measured:
        with patch("trailergenre.videos.attempt._BOOTSTRAP", script):
            return bench.visit("http://example.org/x.mp4", attempts=1)

    return measure


DISKS = [
    Case(f"a download that leaves {what}", expected, _left_behind(act), is_alone=True)
    for what, expected, act in [
        ("a symlink", Outcome.PATH, "os.symlink('/etc/passwd', path)"),
        ("a pipe", Outcome.PATH, "os.mkfifo(path)"),
        ("a directory", Outcome.PATH, "os.mkdir(path)"),
        ("nothing", Outcome.NO_FILE, "0"),
        ("an empty file", Outcome.NO_FILE, "open(path, 'w').close()"),
        ("two files", Outcome.NO_FILE, "[open(path + n, 'w').write('x') for n in 'ab']"),
    ]
]
