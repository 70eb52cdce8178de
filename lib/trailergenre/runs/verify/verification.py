"""The result of verifying a run, for people, for JSON and for the exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

_SHOWN = 5
"""Offenders that a check names; it only counts the others."""


@dataclass
class Check:
    """One claim about a run."""

    invariant: str  # I1 to I6
    name: str  # the claim
    advice: str  # what to do if it fails
    checked: int = 0  # rows, links or files
    n_offenders: int = 0
    offenders: list[str] = field(default_factory=list)  # the first of those that break the claim
    notes: list[str] = field(default_factory=list)  # remarks that are no offence

    @property
    def holds(self) -> bool:
        """Whether there is no offender."""
        return self.n_offenders == 0

    def add_offender(self, offender: str) -> None:
        """Count an offender, and keep its name if it is among the first."""
        self.n_offenders += 1
        if len(self.offenders) < _SHOWN:
            self.offenders.append(offender)

    def to_json(self) -> dict[str, object]:
        """The check without its advice."""
        values = asdict(self) | {"holds": self.holds}
        del values["advice"]
        return values | {"found": values.pop("n_offenders")}

    def lines(self) -> list[str]:
        """The check for people."""
        word = "holds" if self.holds else "FAILS"
        count = f"{self.checked} checked" + ("" if self.holds else f", {self.n_offenders} failed")
        lines = [f"{word}  {self.invariant}  {self.name} ({count})"]
        lines += [f"         {offender}" for offender in self.offenders]
        if self.n_offenders > len(self.offenders):
            lines.append(f"         and {self.n_offenders - len(self.offenders)} more")
        if not self.holds:
            lines.append(f"       {self.advice}")
        return lines + [f"       note: {note}" for note in self.notes]


@dataclass(frozen=True)
class Verification:
    """All checks of a run."""

    run: str  # its address
    features: str  # the fingerprint
    content_hash: str | None  # see `Features.content_hash`
    links: int  # distinct ready ones
    by_outcome: dict[str, int]
    frames: int  # feature rows that readers reach
    settings: list[dict[str, object]]  # what each session was allowed, if recorded
    checks: list[Check]
    notes: list[str]

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def to_json(self) -> dict[str, object]:
        """What `--json` prints."""
        checks = [check.to_json() for check in self.checks]
        return asdict(self) | {"holds": self.holds, "checks": checks}

    def lines(self) -> list[str]:
        """The verification for people."""
        counts = ", ".join(f"{n} {name}" for name, n in self.by_outcome.items()) or "no outcome"
        return [
            f"{self.run}, features {self.features}",
            f"{self.links} links ({counts}), {self.frames} frames",
            *(line for check in self.checks for line in check.lines()),
            *(f"note: {note}" for note in self.notes),
            f"content hash: {self.content_hash or 'none, not all features were read'}",
        ]
