"""A bundle as one file: a plain tar of its files, with its network if the bundle carries it.

It is given by its path, or by its address with its checksum: https://HOST/FILE.tar#sha256=HEX. Its
files are unpacked to the user's cache, once a machine, below that checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import trailergenre
from trailergenre.base.config import Config
from trailergenre.base.errors import BundleError, ForeignFileError, one_line
from trailergenre.base.sandbox.children import ChildLimits, Deadline, start_child
from trailergenre.base.storage import Store, hash_file
from trailergenre.features.backbone.artefact import (
    MANIFEST_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    cache_directory,
)
from trailergenre.links.canonical import without_user
from trailergenre.models.bundle import FILES, Bundle, read_bundle
from trailergenre.models.use_backbone import BACKBONE
from trailergenre.videos.credentials import list_secrets, read_proxy, redact

MAX_BYTES = 4 << 30
DEADLINE_S = 1800.0
"""Of a download; a server that is slower than 2 MB/s cannot give the largest file."""

LICENSE = "LICENSE"
_NAMES = {
    "manifest.json",
    LICENSE,
    *FILES,
    *(f"{BACKBONE}/{name}" for name in (MANIFEST_FILE, ONNX_FILE, WEIGHTS_FILE)),
}
_BLOCK = 512
_COPY_BYTES = 1 << 20
_SUFFIX = ".tar"
_MARK = re.compile("sha256=[0-9a-f]{64}")

# As for videos: -I ignores PYTHON* variables, so the package's place is an argument.
_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from trailergenre.models.fetch_child import main
main()
"""


def pack_bundle(bundle: Bundle, out: Path, license: Path | None = None) -> str:
    """Write a bundle as one file; give its SHA-256. The same bundle gives the same bytes.

    Raises:
        ForeignFileError: there is a file that is no tar of ours.
    """
    if out.suffix != _SUFFIX:
        raise BundleError(f"A bundle's file ends with {_SUFFIX}. Received: {out}.")
    if out.exists():
        _check_ours(out)
    unfinished = out.with_name(f".{out.name}-unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(_NAMES):
            if name == LICENSE:
                content = license.read_bytes() if license else None
            else:
                content = bundle.store.read_bytes(name) if bundle.store.exists(name) else None
            if content is not None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    unfinished.replace(out)
    return hash_file(out)


def open_bundle(place: str, config: Config) -> Bundle:
    """Read a bundle from its directory, its file, or the address of either.

    Raises:
        BundleError: there is none, it is damaged, or it could not be downloaded.
    """
    return read_bundle(_locate(place, config))


def _locate(place: str, config: Config) -> Store:
    if place.startswith(("http://", "https://")):
        address, _, mark = place.partition("#")
        parts = urlsplit(address)
        is_named = parts.path.endswith(_SUFFIX) and "@" not in parts.netloc
        if not is_named or not _MARK.fullmatch(mark):
            raise BundleError(
                f"The address of a bundle is https://HOST/FILE{_SUFFIX}#sha256=HEX, without a user "
                f"name, as `trailergenre bundle pack` prints it. Received: {_shown(address)}"
                f"{'#' if mark else ' without a checksum'}{mark}."
            )
        sha256 = mark.removeprefix("sha256=")
        directory = cache_directory("bundles") / sha256
        if not directory.is_dir():
            with tempfile.NamedTemporaryFile(dir=directory.parent) as file:
                _download(address, file, sha256, config)
                _unpack(Path(file.name), directory, f"The bundle at {_shown(address)}")
        return Store(str(directory))
    path = Path(place).expanduser()
    if path.suffix == _SUFFIX and path.is_file():
        directory = cache_directory("bundles") / hash_file(path)
        if not directory.is_dir():
            _unpack(path, directory, path.name)
        return Store(str(directory))
    return Store(place)


def _shown(address: str) -> str:
    """An address without its query and user name, which may be secrets."""
    return without_user(address).partition("?")[0]


def _download(address: str, out: IO[bytes], sha256: str, config: Config) -> None:
    """Write what is at an address; a BundleError unless it has the checksum."""
    proxy = read_proxy(config.network)
    request = {"url": address, "allow": list(config.network.allow), "proxy": proxy}
    deadline, hashed, n_bytes = Deadline(DEADLINE_S), hashlib.sha256(), 0
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            [sys.executable, "-I", "-c", _CHILD, str(Path(trailergenre.__file__).parents[1])],
            deadline=deadline,
            stderr=stderr,
            env={"PATH": "", "LANG": "C.UTF-8"},
            limits=ChildLimits(
                cpu_s=DEADLINE_S,
                file_bytes=1 << 20,
                memory_bytes=config.limits.max_memory_bytes,
                address_space_bytes=None,
                has_network=True,
            ),
        ) as child,
    ):
        with contextlib.suppress(BrokenPipeError):  # a child that is gone already says why
            child.stdin.write(json.dumps(request).encode())
            child.stdin.close()
        while n_bytes <= MAX_BYTES and (piece := child.stdout.read(_COPY_BYTES)):
            n_bytes += len(piece)
            hashed.update(piece)
            out.write(piece)
        if n_bytes > MAX_BYTES:
            reason = f"it has more than {MAX_BYTES} bytes"
        elif child.process.wait() == 0:
            reason = ""
        elif child.is_timed_out:
            reason = f"it took more than {DEADLINE_S:g} s"
        else:
            stderr.seek(0)
            lines = stderr.read().decode(errors="replace").strip().splitlines()
            hidden = list_secrets(proxy=proxy, cookies=None)
            reason = one_line(redact(lines[-1] if lines else "it was ended", hidden))
    out.flush()
    if reason:
        raise BundleError(f"The bundle at {_shown(address)} cannot be downloaded: {reason}.")
    if hashed.hexdigest() != sha256:
        raise BundleError(
            f"The bundle at {_shown(address)} is not the file that was asked for: {n_bytes} bytes "
            f"with SHA-256 {hashed.hexdigest()} instead of {sha256}. Try again, or ask whoever "
            "offers it."
        )


def _unpack(path: Path, directory: Path, shown: str) -> None:
    """Copy the members to a new directory; a BundleError if it would hold anything else."""
    with (
        path.open("rb") as file,
        tempfile.TemporaryDirectory(dir=directory.parent, prefix=".unpack-") as name,
    ):
        unfinished = Path(name) / "bundle"
        (unfinished / BACKBONE).mkdir(parents=True)
        for member in _members(file, shown):
            with (unfinished / member.name).open("xb") as out:
                left = member.size
                while left and (piece := file.read(min(left, _COPY_BYTES))):
                    left -= out.write(piece)
            if left:
                raise BundleError(f"{shown} is truncated in {member.name}.")
            file.seek(-member.size % _BLOCK, io.SEEK_CUR)
        try:
            unfinished.rename(directory)
        except OSError:
            if not directory.is_dir():  # else another process was faster
                raise


def _members(file: IO[bytes], shown: str) -> Iterator[tarfile.TarInfo]:
    """Headers of a plain tar. Links, devices, extended headers and other names are refused."""
    seen: set[str] = set()
    while (block := file.read(_BLOCK)) != bytes(_BLOCK):
        try:
            member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise BundleError(f"{shown} is no tar, or it is truncated: {error}.") from error
        is_file = member.type == tarfile.REGTYPE and member.size >= 0
        if not is_file or member.name not in _NAMES or member.name in seen:
            raise BundleError(
                f"{shown} holds {one_line(repr(member.name))}, which is no file of a bundle. "
                "Pack it with `trailergenre bundle pack`."
            )
        seen.add(member.name)
        yield member


def _check_ours(out: Path) -> None:
    try:
        with out.open("rb") as file:
            next(_members(file, out.name))
    except (BundleError, StopIteration, OSError) as error:
        raise ForeignFileError(out, "give another --out") from error
