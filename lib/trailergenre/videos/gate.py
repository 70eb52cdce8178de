"""What every attempt passes by: the place for pacing and circuit breakers. Knows of neither."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from trailergenre.base.errors import ItemError
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox import Deadline


class Gate(Protocol):
    """Asked before and told after every attempt to download a link, by several threads."""

    def hold(self, link: Link, deadline: Deadline) -> AbstractContextManager[None]:
        """Be around all attempts at a link: one that shares its lane waits outside.

        Raises:
            ItemError: the attempts may not begin.
        """

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

    def hold(self, link: Link, deadline: Deadline) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def wait(self, link: Link, deadline: Deadline) -> None:
        """Return at once."""

    def report(self, link: Link, end: Video | ItemError) -> None:
        """Take no note."""
