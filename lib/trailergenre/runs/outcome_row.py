"""One link's row of the outcomes table, filled while the link proceeds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from trailergenre import __version__
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import VideoFacts


@dataclass(slots=True)
class OutcomeRow:
    """A row of `schemas.OUTCOMES`; a field is a column.

    `finished_at` and the columns that name a features file are added by the commit.
    """

    link_id: str
    round: int = 0
    outcome: Outcome = Outcome.OK
    detail: str = ""  # the reason, one line; of an `ok` link, what was assumed
    attempts: int = 0
    download_s: float = 0.0  # wall seconds, without waiting for the pace of the host
    decode_s: float = 0.0
    embed_s: float = 0.0
    size_bytes: int | None = None  # None where the download failed
    duration_s: float | None = None  # this and the next four as in `VideoFacts`
    pictures_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    decode_errors: int = 0
    frames: int = 0  # 0 unless `ok`
    connections: tuple[str, ...] = ()  # `address:port` of every server of the download
    engine: str = "none"  # `none` where no network was loaded
    device: str = "none"
    versions: dict[str, str] = field(default_factory=dict)  # besides this package's own
    sandbox: str = "full"  # or `not needed`, or the protections that the machine lacks

    @property
    def is_ok(self) -> bool:
        """Whether nothing went wrong so far."""
        return self.outcome is Outcome.OK

    def fail(self, error: ItemError) -> None:
        """Take the class and reason of an error."""
        self.outcome, self.detail, self.frames = error.outcome, error.detail, 0

    def add_facts(self, facts: VideoFacts) -> None:
        """Take what the decoder reported."""
        values = asdict(facts)
        self.detail = values.pop("note")
        for name, value in values.items():
            setattr(self, name, value)

    def to_columns(self) -> dict[str, object]:
        """Finish the row: column -> value."""
        versions = {"trailergenre": __version__, **self.versions}
        return asdict(self) | {
            "versions": json.dumps(versions, sort_keys=True),
            "finished_at": datetime.now(UTC),
        }

    def to_json(self) -> str:
        """Keep the row beside its frames, for the task that embeds them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes, link_id: str) -> OutcomeRow:
        """Read a kept row."""
        values = json.loads(text)
        # Files of earlier versions lack the link and nest what the decoder reported.
        values = {"link_id": link_id, **values, **values.pop("facts", {})}
        values |= {
            "outcome": Outcome(values.get("outcome", Outcome.OK)),
            "connections": tuple(values["connections"]),
        }
        return cls(**values)
