"""What a check found, as data: for people, for JSON and for the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field

_SHOWN = 5
"""Offenders that a check names; the others are counted."""


@dataclass
class Check:
    """One claim about a run.

    Attributes:
        invariant: I1 to I6 of the specification.
        name: the claim, in a few words.
        advice: what to do where it does not hold.
        checked: how many rows, links or files were looked at.
        n_offenders: how many of them offend.
        offenders: the first of them, with the link or the file.
        notes: what is worth telling and no offence.
    """

    invariant: str
    name: str
    advice: str
    checked: int = 0
    n_offenders: int = 0
    offenders: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing offends."""
        return self.n_offenders == 0

    def add_offender(self, offender: str) -> None:
        """Count an offender, and name it if it is among the first."""
        self.n_offenders += 1
        if len(self.offenders) < _SHOWN:
            self.offenders.append(offender)

    def to_json(self) -> dict[str, object]:
        """All but the advice."""
        return {
            "invariant": self.invariant,
            "name": self.name,
            "holds": self.holds,
            "checked": self.checked,
            "found": self.n_offenders,
            "offenders": self.offenders,
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """For a person."""
        word = "holds" if self.holds else "FOUND"
        count = f"{self.checked} checked" + ("" if self.holds else f", {self.n_offenders} found")
        lines = [f"{word}  {self.invariant}  {self.name} ({count})"]
        lines += [f"         {offender}" for offender in self.offenders]
        if self.n_offenders > len(self.offenders):
            lines.append(f"         and {self.n_offenders - len(self.offenders)} more")
        if not self.holds:
            lines.append(f"       {self.advice}")
        return lines + [f"       note: {note}" for note in self.notes]


@dataclass(frozen=True)
class Verification:
    """What `verify` says of a run.

    Attributes:
        run: its address.
        features: the fingerprint.
        content_hash: over all features that readers reach, however files are cut; None where some
            of them cannot be read.
        links: distinct ready links.
        by_outcome: those of them that have an outcome, by class.
        frames: rows of features that readers reach.
        settings: what the run was allowed, each time it was begun; empty where not recorded.
        checks: all of them.
        notes: on the run as a whole.
    """

    run: str
    features: str
    content_hash: str | None
    links: int
    by_outcome: dict[str, int]
    frames: int
    settings: list[dict[str, object]]
    checks: list[Check]
    notes: list[str]

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def to_json(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "run": self.run,
            "features": self.features,
            "holds": self.holds,
            "content_hash": self.content_hash,
            "links": self.links,
            "by_outcome": self.by_outcome,
            "frames": self.frames,
            "checks": [check.to_json() for check in self.checks],
            "settings": self.settings,
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """For a person."""
        counts = ", ".join(f"{n} {name}" for name, n in self.by_outcome.items()) or "no outcome"
        lines = [f"{self.run}, features {self.features}"]
        lines += [f"{self.links} links ({counts}), {self.frames} frames"]
        lines += [line for check in self.checks for line in check.lines()]
        lines += [f"note: {note}" for note in self.notes]
        lines.append(f"content hash: {self.content_hash or 'none, some features cannot be read'}")
        return lines
