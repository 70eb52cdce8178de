"""Link to video file: the one retry layer around attempts, and local files where they lie."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

import tenacity

from trailergenre.base.config import Config, LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox import Deadline
from trailergenre.videos.attempt import Attempt
from trailergenre.videos.credentials import read_cookies, read_proxy
from trailergenre.videos.gate import Gate, OpenGate
from trailergenre.videos.redaction import scrub, secrets_of

BACKOFF_BASE_S = 2.0
BACKOFF_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Downloader:
    """The settings of every download of a run; small, so that they travel to workers.

    Attributes:
        links: allowed roots of local files.
        network: what may be reached besides public addresses, and who gets the cookies.
        limits: bounds of one link.
        backoff_s: first wait before another attempt; doubles, with full jitter.
        proxy: address that everything is fetched through, with its password.
        cookies: content of a cookie file.
    """

    links: LinksConfig
    network: NetworkConfig
    limits: LimitsConfig
    backoff_s: float = BACKOFF_BASE_S
    # No log may show them by accident.
    proxy: str | None = field(default=None, repr=False)
    cookies: str | None = field(default=None, repr=False)

    @classmethod
    def from_config(cls, config: Config) -> Downloader:
        """Read on the driver what only it can read: the proxy's address and the cookies.

        Raises:
            ConfigError: one of them cannot be had.
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
        """Whose address policy holds: ours, in each child, or that of the proxy."""
        return "guarded" if self.proxy is None else "proxy's"

    def hide_secrets(self, text: str) -> str:
        """A text without the proxy's password and the cookies."""
        return scrub(text, secrets_of(proxy=self.proxy, cookies=self.cookies))

    def fetch(
        self, link: Link, scratch: Path, deadline: Deadline, gate: Gate | None = None
    ) -> tuple[Video, int]:
        """Get a link's video onto the local disk.

        Args:
            link: http(s), or a file under an allowed root, which is used where it lies.
            scratch: an existing directory of this link's own.
            deadline: of the link, all attempts together.
            gate: passed by every attempt; None: nothing is paced.

        Returns:
            The video and the number of attempts.

        Raises:
            ItemError: with the class of the last attempt.
        """
        if link.url.startswith("file:"):
            return _open_local(link.url, self.links), 1
        tries = _Tries(
            attempt=Attempt(self.network, self.limits, self.proxy, self.cookies),
            gate=gate or OpenGate(),
        )
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            # A wait that the deadline would not outlast is not begun: the class stays the site's.
            stop=tenacity.stop_after_attempt(self.limits.attempts) | _NoTimeLeft(deadline),
            wait=_Backoff(self.backoff_s),
            sleep=tenacity.sleep_using_event(deadline.stopped),
            reraise=True,
        )
        try:
            video = retrying(tries.make, link, scratch, deadline)
        except ItemError as error:
            error.attempts, error.connections = tries.n_made, tuple(tries.connections)
            raise
        return replace(video, connections=tuple(tries.connections)), tries.n_made


@dataclass
class _Tries:
    """The attempts at one link.

    Attributes:
        attempt: how each is made.
        gate: passed by each.
        n_made: that the gate let pass.
        connections: of all of them, distinct, in order.
    """

    attempt: Attempt
    gate: Gate
    n_made: int = 0
    connections: dict[str, None] = field(default_factory=dict)

    def make(self, link: Link, scratch: Path, deadline: Deadline) -> Video:
        self.gate.wait(link, deadline)
        self.n_made += 1
        try:
            video = self.attempt.run(link, scratch, deadline)
        except ItemError as error:
            self.connections |= dict.fromkeys(error.connections)
            self.gate.report(link, error)
            raise
        self.connections |= dict.fromkeys(video.connections)
        self.gate.report(link, video)
        return video


class _NoTimeLeft(tenacity.stop.stop_base):
    """Ends where the link's own time would run out during the wait."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return retry_state.upcoming_sleep >= self._deadline.left_s


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
