"""Link to video file: all retries of attempts, and local files, which are used in place."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

from trailergenre.base.config import Config, LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox import Deadline
from trailergenre.videos.attempt import Attempt
from trailergenre.videos.credentials import list_secrets, read_cookies, read_proxy, redact
from trailergenre.videos.pacing import Pacer

BACKOFF_BASE_S = 2.0
BACKOFF_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Downloader:
    """The settings of all downloads of a run; small, because they are sent to the workers.

    Attributes:
        links: roots of local files.
        network: what may be reached besides public addresses, and who gets the cookies.
        limits: per link.
        backoff_s: upper bound of the first wait; doubles per attempt, with full jitter.
        proxy: address with its password.
        cookies: content of a cookie file.
    """

    links: LinksConfig
    network: NetworkConfig
    limits: LimitsConfig
    backoff_s: float = BACKOFF_BASE_S
    # Not in repr, so that no log shows them.
    proxy: str | None = field(default=None, repr=False)
    cookies: str | None = field(default=None, repr=False)

    @classmethod
    def from_config(cls, config: Config) -> Downloader:
        """Read the proxy's address and the cookies, which only the driver can.

        Raises:
            ConfigError: one of them cannot be read.
        """
        return cls(
            config.links,
            config.network,
            config.limits,
            proxy=read_proxy(config.network),
            cookies=read_cookies(config.network),
        )

    @property
    def egress(self) -> Literal["guarded", "proxy's"]:
        """Whose address policy applies: ours in each child, or the proxy's."""
        return "guarded" if self.proxy is None else "proxy's"

    def redact(self, text: str) -> str:
        """Replace the proxy's password and the cookies in a text."""
        return redact(text, list_secrets(proxy=self.proxy, cookies=self.cookies))

    def fetch(
        self, link: Link, scratch: Path, deadline: Deadline, pacer: Pacer | None = None
    ) -> tuple[Video, int]:
        """Download a link's video to the local disk.

        Args:
            link: http(s), or a file under an allowed root, which is used in place.
            scratch: existing directory for this link only.
            deadline: of all attempts together.
            pacer: asked before every attempt; None to pace nothing.

        Returns:
            The video and the number of attempts.

        Raises:
            ItemError: the class of the last attempt.
        """
        if link.url.startswith("file:"):
            return _open_local(link.url, self.links), 1
        pacer = pacer or Pacer()
        attempt = Attempt(self.network, self.limits, self.proxy, self.cookies)
        connections: dict[str, None] = {}
        n_attempts = 0
        while True:
            try:
                pacer.wait(link, deadline)
            except ItemError as refusal:
                refusal.attempts, refusal.connections = n_attempts, tuple(connections)
                raise
            n_attempts += 1
            end: Video | ItemError
            try:
                end = attempt.run(link, scratch, deadline)
            except ItemError as error:
                end = error
            pacer.record(link, end)
            connections |= dict.fromkeys(end.connections)
            if isinstance(end, Video):
                return replace(end, connections=tuple(connections)), n_attempts
            wait_s = self._wait_s(end, n_attempts)
            is_last = n_attempts == self.limits.attempts or not end.outcome.is_retryable
            # No wait past the deadline: the outcome stays the site's.
            if is_last or wait_s >= deadline.left_s:
                end.attempts, end.connections = n_attempts, tuple(connections)
                raise end
            deadline.stopped.wait(wait_s)

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
