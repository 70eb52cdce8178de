"""What the cases of bad inputs are measured with: one server, traps, and the public path."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from hostile.warm import WarmChild
from lists import as_links
from servers import Answer, AnswerServer, answer
from servers.traps import Traps, traps
from trailergenre.base.config import Config, LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.features.backbone import Embedder
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import stream_settings
from trailergenre.links.canonical import LinkError, parse_link

DEADLINE_S = 60.0
"""Of a link, unless its case is about deadlines."""


@dataclass(frozen=True)
class Measured:
    """How an input ended."""

    outcome: str
    detail: str
    requests: int = 0


@dataclass(frozen=True)
class Place:
    """A case's own directory of the server.

    Attributes:
        path: of the directory, without its last slash.
        url: its address.
        trap: `http://127.0.0.1:PORT`, where nobody may connect.
        release: set when waiting answers may end.
        clip: a small good video.
    """

    path: str
    url: str
    trap: str
    release: threading.Event
    clip: bytes


Answers = Callable[[Place], Mapping[str, Answer]]
"""Gives the answers of a case, by path below its directory."""


@dataclass
class Bench:
    """Measures cases; safe for several threads."""

    server: AnswerServer
    traps: Traps
    embedder: Embedder
    clip: bytes
    root: Path
    release: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def parse(self, cell: str) -> Measured:
        """Take a cell of a list as `prepare_dataset` does."""
        try:
            parse_link(cell, links=LinksConfig(), network=self.network)
        except LinkError as error:
            return Measured(error.row_outcome, error.detail)
        return Measured(RowOutcome.READY, "")

    @property
    def warm(self) -> WarmChild:
        """A child alone, whose world can be made up."""
        return WarmChild(self.root)

    @property
    def network(self) -> NetworkConfig:
        """The server alone may be reached."""
        return NetworkConfig(allow=(self.server.address,))

    def place(self, answers: Answers) -> Place:
        """Give a case its directory of the server and fill it."""
        path = f"/{next(self._numbers)}"
        url = f"http://{self.server.address}{path}"
        trap = f"http://127.0.0.1:{self.traps.port}"
        made = Place(path, url, trap, self.release, self.clip)
        for name, reply in answers(made).items():
            self.server.answers[path + name] = reply
        return made

    def fetch(self, answers: Answers, path: str, **limits: float) -> Measured:
        """Bring one link of the server to its end."""
        place = self.place(answers)
        record = self.embed(place.url + path, **limits)
        requests = [r for r in self.server.requests if r.path.startswith(f"{place.path}/")]
        detail = record.row.detail.replace(f"{place.path}/", "/")
        return Measured(record.row.outcome, self.stable(detail), len(requests))

    def visit(self, url: str, *, allow: str | None = None, **limits: float) -> Measured:
        """Bring one link to its end that does not lead to the server."""
        record = self.embed(url, allow=allow, **limits)
        return Measured(record.row.outcome, self.stable(record.row.detail))

    def embed(self, url: str, *, allow: str | None = None, **limits: float) -> FetchedLink:
        """Bring one canonical link to its end, past what would refuse it in a list."""
        bounds = LimitsConfig.model_validate({"deadline_s": DEADLINE_S, **limits})
        links = LinksConfig(allowed_roots=(str(self.root),))
        network = NetworkConfig(allow=(allow or self.server.address,))
        settings = stream_settings(Config(links=links, network=network, limits=bounds), FORM)
        (record,) = embed_links(as_links([url]), settings, self.embedder)
        return record

    def stable(self, detail: str) -> str:
        """A detail without what differs from run to run."""
        detail = detail.replace(self.server.address, "server").replace(str(self.root), "/videos")
        detail = re.sub(r"\b[0-9a-f]{64}\b", "LINK_ID", detail)
        return re.sub(r"(127\.0\.0\.\d:|port=)\d{4,}", r"\1PORT", detail)


@contextmanager
def open_bench(embedder: Embedder, clip: bytes, root: Path) -> Iterator[Bench]:
    """Serve and set traps while the block runs."""
    # Patched once: links are brought in threads.
    no_waits = patch("trailergenre.videos.downloader.BACKOFF_MAX_S", 0.01)
    with answer() as server, traps() as set_traps, no_waits:
        bench = Bench(server, set_traps, embedder, clip, root)
        try:
            yield bench
        finally:
            bench.release.set()
