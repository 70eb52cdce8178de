"""What yt-dlp's callbacks see of a download, and why they stop it. Knows nothing of yt-dlp.

Standard library only: the download child imports this, and shall hold little.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome

MIN_BYTES_PER_S = 8192
"""Slower than this over `RATE_WINDOW_S` is no download: 500 MB would take 17 hours."""
RATE_WINDOW_S = 30.0


class DownloadLimits:
    """Stops a download that is not one short video of bounded size.

    Attributes:
        reason: why it stopped the download; None where it did not.
    """

    def __init__(self, *, max_file_bytes: int, max_duration_s: float) -> None:
        """Take the bounds.

        Args:
            max_file_bytes: of all files and fragments together.
            max_duration_s: that a video may declare.
        """
        self.reason: ItemError | None = None
        self._max_file_bytes = max_file_bytes
        self._max_duration_s = max_duration_s
        self._bytes_by_file: dict[str, int] = {}
        self._window: tuple[float, int] | None = None

    def filter(self, info: Mapping[str, object], *, incomplete: bool) -> str | None:
        """Called for every video before its download; a text means no."""
        duration_s = info.get("duration")
        if info.get("playlist_index") is not None:
            self.reason = ItemError(Outcome.NOT_A_SINGLE_VIDEO, "the page lists several videos")
        elif info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
            self.reason = ItemError(Outcome.LIVE, "a live stream or a premiere to come")
        elif isinstance(duration_s, int | float) and duration_s > self._max_duration_s:
            self.reason = ItemError(
                Outcome.TOO_LONG, f"{duration_s:g} s long, the limit is {self._max_duration_s:g} s"
            )
        return str(self.reason) if self.reason else None

    def count(self, progress: Mapping[str, object]) -> None:
        """Called after every block: what a server announces does not bound what it sends.

        Raises:
            ItemError: the bytes of all files together pass the limit, or come too slowly.
        """
        name = str(progress.get("filename"))
        done = _integer(progress.get("downloaded_bytes"))
        self._bytes_by_file[name] = max(done, self._bytes_by_file.get(name, 0))
        so_far = sum(self._bytes_by_file.values())
        # Fragments announce none for the whole; what one server says of its file is believed.
        if max(so_far, _integer(progress.get("total_bytes"))) > self._max_file_bytes:
            self._stop(Outcome.TOO_LARGE, f"larger than {self._max_file_bytes} bytes")
        if progress.get("status") != "finished":
            self._check_rate(so_far)

    def _check_rate(self, so_far: int) -> None:
        now = time.monotonic()
        if self._window is None:
            self._window = now, so_far
        began, before = self._window
        if now - began < RATE_WINDOW_S:
            return
        if so_far - before < MIN_BYTES_PER_S * RATE_WINDOW_S:
            self._stop(
                Outcome.STALLED, f"{so_far - before} bytes came in {now - began:.0f} s, too slow"
            )
        self._window = now, so_far

    def _stop(self, outcome: Outcome, detail: str) -> None:
        self.reason = ItemError(outcome, detail)
        raise self.reason


def _integer(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
