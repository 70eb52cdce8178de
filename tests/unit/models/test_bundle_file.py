"""A bundle as one file: packed, fetched once, and refused if it is anything else."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bundles import make_bundle
from servers.files import serve
from trailergenre.base.config import Config
from trailergenre.base.errors import BundleError, ForeignFileError
from trailergenre.base.storage import Store
from trailergenre.models import bundle_file
from trailergenre.models.bundle import Bundle
from trailergenre.models.bundle_file import open_bundle, pack_bundle


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_bundle(Store(str(tmp_path / "bundle")))


def allowing(*addresses: str) -> Config:
    return Config.model_validate({"network": {"allow": addresses}})


def test_a_packed_bundle_is_the_same_bundle_in_the_same_bytes(
    bundle: Bundle, tmp_path: Path
) -> None:
    network, licence = tmp_path / "bundle" / "backbone", tmp_path / "licence.txt"
    network.mkdir()
    for name in ("manifest.json", "network.onnx"):
        (network / name).write_text(name)
    licence.write_text("do what you like")
    first, again = tmp_path / "a.tar", tmp_path / "b.tar"
    assert pack_bundle(bundle, first, licence) == pack_bundle(bundle, again, licence)
    opened = open_bundle(str(first), Config())
    assert opened.sha256 == bundle.sha256
    assert opened.store.read_bytes("backbone/network.onnx") == b"network.onnx"
    assert opened.store.read_bytes("LICENSE") == b"do what you like"


def test_a_file_of_others_is_not_replaced(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine.tar").write_text("a letter")
    with pytest.raises(ForeignFileError):
        pack_bundle(bundle, tmp_path / "mine.tar")
    with pytest.raises(BundleError, match=r"ends with \.tar"):
        pack_bundle(bundle, tmp_path / "mine.zip")


def test_an_address_is_fetched_once_a_machine(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    sha256 = pack_bundle(bundle, tmp_path / "web" / "mine.tar")
    with serve(tmp_path / "web") as server:
        place = f"http://{server.address}/mine.tar#sha256={sha256}"
        for _ in range(2):
            assert open_bundle(place, allowing(server.address)).sha256 == bundle.sha256
        assert server.requested == ["GET /mine.tar"]


@pytest.mark.parametrize("mark", ["", "#sha256=abc", "#md5=" + 64 * "0"])
def test_an_address_without_a_checksum_is_refused(mark: str, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="bundle pack") as raised:
        open_bundle(f"https://user:secret@example.org/mine.tar{mark}", Config())
    assert "secret" not in str(raised.value)


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server on loopback that answers each GET in one way; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def send(body: bytes, length: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        try:
            handler.wfile.write(bytes(1 << 16))
        except OSError:
            return


def silent(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"x")
    handler.wfile.flush()
    threading.Event().wait(20)


def not_found(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404, "never heard of it")


def redirect(address: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.end_headers()

    return answer


def fetch(answer: Answer, sha256: str = 64 * "0") -> str:
    """Why a bundle is refused that a server answers with."""
    with answering(answer) as address, pytest.raises(BundleError) as raised:
        open_bundle(f"http://{address}/mine.tar#sha256={sha256}", allowing(address))
    return str(raised.value)


def test_a_bad_server_is_refused_with_the_reason_and_leaves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = pack_bundle(bundle, tmp_path / "mine.tar")
    content = (tmp_path / "mine.tar").read_bytes()
    assert "is not the file" in fetch(send(content[:-600], len(content)), sha256)
    assert "is not the file" in fetch(send(content[:700] + b"x" + content[701:]), sha256)
    assert "404" in fetch(not_found, sha256)
    assert "which is denied" in fetch(redirect("http://127.0.0.1:9/mine.tar"), sha256)
    assert "which is denied" in fetch(redirect("http://169.254.169.254/mine.tar"), sha256)
    assert "cannot be downloaded" in fetch(redirect("file:///etc/passwd"), sha256)
    assert "cannot be downloaded" in fetch(redirect("ftp://example.org/mine.tar"), sha256)
    monkeypatch.setattr(bundle_file, "MAX_BYTES", 1 << 20)
    assert "more than 1048576 bytes" in fetch(endless, sha256)
    monkeypatch.setattr(bundle_file, "DEADLINE_S", 1.5)
    assert "more than 1.5 s" in fetch(silent, sha256)
    assert list((tmp_path / "cache" / "trailergenre" / "bundles").iterdir()) == []


def test_a_truncated_file_at_an_address_is_named_by_the_address(
    bundle: Bundle, tmp_path: Path
) -> None:
    pack_bundle(bundle, tmp_path / "mine.tar")
    cut = (tmp_path / "mine.tar").read_bytes()[:700]
    refusal = fetch(send(cut), hashlib.sha256(cut).hexdigest())
    assert re.fullmatch(r"The bundle at http://\S+/mine\.tar is truncated in \S+\.", refusal)


def test_a_private_address_is_not_asked(bundle: Bundle) -> None:
    with answering(not_found) as address, pytest.raises(BundleError, match="denied"):
        open_bundle(f"http://{address}/mine.tar#sha256={64 * '0'}", Config())


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../manifest.json"),
        member("/tmp/manifest.json"),
        member("manifest.json\0x"),
        member("notes.txt"),
        member("backbone/../../x"),
        member("split.parquet", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("split.parquet", tarfile.LNKTYPE, linkname="manifest.json"),
        member("split.parquet", tarfile.CHRTYPE),
        member("split.parquet", tarfile.FIFOTYPE),
        member("backbone", tarfile.DIRTYPE),
        member("split.parquet", tarfile.GNUTYPE_SPARSE),
        member("LICENSE", pax_headers={"comment": "x" * 600}),
        member("LICENSE", size=1 << 40),
    ],
    ids=lambda info: f"{info.name} {info.type!r} {info.size}",
)
def test_a_tar_with_anything_else_is_refused_and_writes_nothing(
    bad: tarfile.TarInfo, bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "mine.tar"
    pack_bundle(bundle, path)
    content = path.read_bytes()
    header = bad.tobuf(tarfile.PAX_FORMAT if bad.pax_headers else tarfile.GNU_FORMAT)
    path.write_bytes(header + (content if bad.size == 0 else b""))
    with pytest.raises(BundleError, match=r"mine\.tar"):
        open_bundle(str(path), Config())
    assert list((tmp_path / "cache" / "trailergenre" / "bundles").iterdir()) == []
    assert not (tmp_path / "manifest.json").exists()


def test_a_member_twice_and_a_truncated_tar_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    path, twice = tmp_path / "mine.tar", io.BytesIO()
    pack_bundle(bundle, path)
    content = path.read_bytes()
    with tarfile.open(fileobj=twice, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for _ in range(2):
            tar.addfile(member("LICENSE"))
    for broken in (twice.getvalue(), content[:700], content[:1500], b""):
        path.write_bytes(broken)
        with pytest.raises(BundleError, match=r"mine\.tar"):
            open_bundle(str(path), Config())
