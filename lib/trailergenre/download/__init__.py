"""Link to video file: one child process an attempt, a deadline, one retry layer.

The child (`download.child`) is the only place that imports yt_dlp. Files are named by `link_id`,
never by a title or by the site's own id, which the link's author can choose.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import tenacity

import trailergenre
from trailergenre.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.errors import ItemError, ToolMissingError
from trailergenre.outcomes import Outcome
from trailergenre.records import Link, Video
from trailergenre.sandbox import Deadline, start_child

BACKOFF_BASE_S = 2.0
BACKOFF_MAX_S = 60.0

# -I ignores PYTHON* variables and the working directory, so the package's own place is handed on;
# it may be a zip that came with --py-files.
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    " from trailergenre.download.child import main; main()"
)


@dataclass(frozen=True, slots=True)
class Downloader:
    """The settings of every download of a run.

    Attributes:
        links: allowed roots of local files.
        network: what may be reached besides public addresses.
        limits: bounds of one link.
        backoff_s: first wait before another attempt; doubles, with full jitter.
    """

    links: LinksConfig
    network: NetworkConfig
    limits: LimitsConfig
    backoff_s: float = BACKOFF_BASE_S

    def fetch(self, link: Link, scratch: Path, deadline: Deadline) -> tuple[Video, int]:
        """Get a link's video onto the local disk.

        Args:
            link: http(s), or a file under an allowed root, which is used where it lies.
            scratch: an existing directory of this attempt's own.
            deadline: of the link, all attempts together.

        Returns:
            The video and the number of attempts.

        Raises:
            ItemError: with the class of the last attempt.
        """
        if link.url.startswith("file:"):
            return _open_local(link.url, self.links), 1
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            # A wait that the deadline would not outlast is not begun: the class stays the site's.
            stop=tenacity.stop_after_attempt(self.limits.attempts)
            | tenacity.stop_before_delay(deadline.left_s),
            wait=_Backoff(self.backoff_s),
            sleep=tenacity.sleep_using_event(deadline.stopped),
            reraise=True,
        )
        try:
            video = attempts(_download_once, link, scratch, self, deadline)
        except ItemError as error:
            error.attempts = attempts.statistics["attempt_number"]
            raise
        return video, attempts.statistics["attempt_number"]


class _Backoff(tenacity.wait.wait_base):
    """Exponential with full jitter; the server's own Retry-After wins."""

    def __init__(self, first_s: float) -> None:
        self._jitter = tenacity.wait_random_exponential(multiplier=first_s, max=BACKOFF_MAX_S)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, ItemError) else None
        return asked_s if asked_s is not None else self._jitter(retry_state)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ItemError) and error.outcome.is_retryable


def _open_local(url: str, links: LinksConfig) -> Video:
    try:
        path = Path(os.fsdecode(unquote_to_bytes(urlsplit(url).path))).resolve()
        roots = [Path(root).expanduser().resolve() for root in links.allowed_roots]
        if not any(path.is_relative_to(root) for root in roots):
            raise ItemError(Outcome.SCHEME, f"{path} is not under one of links.allowed_roots")
        if not path.is_file():
            raise ItemError(Outcome.PATH, f"{path} is not a file on this worker")
        return Video(path=path, size_bytes=path.stat().st_size, is_owned=False)
    except OSError as error:
        raise ItemError(Outcome.PATH, f"the file cannot be opened: {error}") from error


def _download_once(link: Link, scratch: Path, settings: Downloader, deadline: Deadline) -> Video:
    """Run one child; it makes one `extract_info` call."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="attempt-") as name:
        attempt = Path(name)
        answer = _run_child(link, attempt, settings, deadline)
        if answer["outcome"] != Outcome.OK:
            raise ItemError(
                Outcome(str(answer["outcome"])),
                str(answer["detail"]),
                retry_after_s=_seconds(answer.get("retry_after_s")),
            )
        found = _only_file(attempt / "video", settings.limits)
        # Out of the attempt's directory, which goes with its leftovers.
        path = found.rename(scratch / f"{link.link_id}{found.suffix}")
    return Video(path=path, size_bytes=path.stat().st_size, is_owned=True)


def _run_child(
    link: Link, attempt: Path, settings: Downloader, deadline: Deadline
) -> dict[str, object]:
    (attempt / "empty").mkdir()
    (attempt / "video").mkdir()
    request = {
        "url": link.url,
        "directory": str(attempt / "video"),
        "empty": str(attempt / "empty"),
        "name": link.link_id,
        "max_file_bytes": settings.limits.max_file_bytes,
        "max_duration_s": settings.limits.max_duration_s,
        "allow": list(settings.network.allow),
    }
    package_home = str(Path(trailergenre.__file__).parents[1])
    arguments = [sys.executable, "-I", "-c", _BOOTSTRAP, package_home]
    env = {"PATH": str(attempt / "empty"), "HOME": str(attempt), "LANG": "C.UTF-8"}
    with (
        tempfile.TemporaryFile(dir=attempt) as stderr,
        start_child(arguments, deadline=deadline, stderr=stderr, env=env) as child,
    ):
        # A child that is gone already is judged by its exit code.
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(request).encode())
            child.stdin.close()
        answer = child.stdout.read()
        code = child.process.wait()
        if child.is_timed_out:
            raise ItemError(
                Outcome.TIMEOUT, f"the download passed the deadline of {deadline.seconds:g} s"
            )
        if code < 0:
            raise ItemError(Outcome.RESOURCE, f"the download child was ended by signal {-code}")
        if code > 0:
            # Whatever a link does to yt-dlp is an answer; no answer is a fault of this machine.
            stderr.seek(0)
            last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise ToolMissingError(
                f"The download child ended with {code} before it could begin: {last}. "
                "Install the package with all its dependencies (yt-dlp, deno) on this machine."
            )
    return dict(json.loads(answer))


def _only_file(directory: Path, limits: LimitsConfig) -> Path:
    """The one regular file of a finished download; the downloader's own word is not enough."""
    entries = list(directory.iterdir())
    files = [entry for entry in entries if entry.is_file() and not entry.is_symlink()]
    if len(files) != len(entries):
        raise ItemError(Outcome.PATH, "the download left something that is not a regular file")
    if len(files) != 1 or files[0].stat().st_size == 0:
        raise ItemError(Outcome.NO_FILE, f"the download ended with {len(files)} usable files")
    if files[0].stat().st_size > limits.max_file_bytes:
        raise ItemError(Outcome.TOO_LARGE, f"larger than {limits.max_file_bytes} bytes")
    return files[0]


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
