"""What every attempt passes by: the place for pacing and circuit breakers. Knows of neither."""

from __future__ import annotations

from typing import Protocol

from trailergenre.errors import ItemError
from trailergenre.records import Link, Video
from trailergenre.sandbox import Deadline


class Gate(Protocol):
    """Asked before and told after every attempt to download a link."""

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Return when the attempt may begin; `deadline.paused()` spares the link's own time.

        Raises:
            ItemError: the attempt may not begin. It is not counted, and ends the link where its
                outcome is not one that is tried again.
        """

    def report(self, link: Link, end: Video | ItemError) -> None:
        """Take note of how the attempt ended."""


class OpenGate:
    """Lets everything pass at once."""

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Return at once."""

    def report(self, link: Link, end: Video | ItemError) -> None:
        """Take no note."""
