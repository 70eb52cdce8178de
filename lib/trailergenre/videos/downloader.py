"""Link to video file: all retries of attempts, and local files, which are used in place."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from trailergenre.base.config import Config, LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FrameForm, Link, Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos.attempt import Attempt
from trailergenre.videos.credentials import list_secrets, read_cookies, read_proxy, redact
from trailergenre.videos.formats import MIN_SIDE_PX, least_side_px
from trailergenre.videos.pacing import Pacer

BACKOFF_BASE_S = 2.0
BACKOFF_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Downloader:
    """The settings of all downloads of a task, made on the machine that downloads.

    Attributes:
        side_px: least side of a video, if there is one so large.
        backoff_s: upper bound of the first wait; doubles per attempt, with full jitter.
        proxy: address with its password.
        cookies: content of a cookie file.
    """

    links: LinksConfig
    network: NetworkConfig
    limits: LimitsConfig
    side_px: int = MIN_SIDE_PX
    backoff_s: float = BACKOFF_BASE_S
    # Not in repr, so that no log shows them.
    proxy: str | None = field(default=None, repr=False)
    cookies: str | None = field(default=None, repr=False)

    @classmethod
    def from_config(cls, config: Config, form: FrameForm) -> Downloader:
        """Read this machine's proxy address and cookies; a ConfigError says what is wrong."""
        return cls(
            config.links,
            config.network,
            config.limits,
            least_side_px(form),
            proxy=read_proxy(config.network),
            cookies=read_cookies(config.network),
        )

    def redact(self, text: str) -> str:
        """Replace the proxy's password and the cookies in a text."""
        return redact(text, list_secrets(proxy=self.proxy, cookies=self.cookies))

    def fetch(
        self, link: Link, scratch: Path, deadline: Deadline, pacer: Pacer | None = None
    ) -> tuple[Video, int]:
        """Download a link's video, and count the attempts. Files are used in place.

        Args:
            link: http(s), or a file under an allowed root.
            scratch: existing directory for this link only.
            deadline: of all attempts together.
            pacer: asked before every attempt; None to pace nothing.

        Raises:
            ItemError: the class of the last attempt.
        """
        if link.url.startswith("file:"):
            return _open_local(link.url, self.links), 1
        pacer = pacer or Pacer()
        attempt = Attempt(
            self.network, self.limits, self.proxy, self.cookies, pacer.hosts, self.side_px
        )
        connections: dict[str, None] = {}
        n_attempts = 0
        try:
            while True:
                pacer.wait(link, deadline)
                n_attempts += 1
                result: Video | ItemError
                try:
                    result = attempt.run(link, scratch, deadline)
                except ItemError as error:
                    result = error
                pacer.record(link, result)
                connections |= dict.fromkeys(result.connections)
                if isinstance(result, Video):
                    return replace(result, connections=tuple(connections)), n_attempts
                wait_s = self._wait_s(result, n_attempts)
                is_last = n_attempts == self.limits.attempts or not result.outcome.is_retryable
                # No wait past the deadline: the outcome stays the site's.
                if is_last or wait_s >= deadline.left_s:
                    raise result
                deadline.stopped.wait(wait_s)
        except ItemError as error:
            error.attempts, error.connections = n_attempts, tuple(connections)
            raise

    def _wait_s(self, error: ItemError, n_attempts: int) -> float:
        """Exponential back-off with full jitter, unless the server sent Retry-After."""
        if error.retry_after_s is not None:
            return error.retry_after_s
        highest_s = min(self.backoff_s * 2 ** (n_attempts - 1), BACKOFF_MAX_S)
        return random.uniform(0, highest_s)


def _open_local(url: str, links: LinksConfig) -> Video:
    try:
        path = Path(os.fsdecode(unquote_to_bytes(urlsplit(url).path))).resolve()
        if not links.allows(path):
            raise ItemError(Outcome.SCHEME, f"{path} is not under one of links.allowed_roots")
        if not path.is_file():
            raise ItemError(Outcome.PATH, f"{path} is not a file on this worker")
        return Video(path=path, size_bytes=path.stat().st_size, is_owned=False)
    except OSError as error:
        raise ItemError(Outcome.PATH, f"the file cannot be opened: {error}") from error
