"""Kept videos, so that a change of other settings downloads nothing again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trailergenre.base.records import Link, Video
from trailergenre.base.storage import Store


@dataclass(frozen=True, slots=True)
class KeptVideos:
    """The kept videos at `RUN/videos/<videos_key>/`; used even if no new ones are kept."""

    store: Store
    key: str
    keeps_new: bool

    def list_link_ids(self) -> set[str]:
        """List the links whose video is kept."""
        return {Path(file.path).name for file in self.store.list_files(f"videos/{self.key}")}

    def find(self, link: Link, scratch: Path) -> Video | None:
        """Return a kept video, in place or as a copy in `scratch`; None if it is not kept."""
        path = self._path(link)
        if not self.store.exists(path):
            return None
        if self.store.is_local:
            kept = self.store.local_path(path)
            return Video(path=kept, size_bytes=kept.stat().st_size, is_owned=False)
        copy = scratch / link.link_id
        self.store.download(path, copy)
        return Video(path=copy, size_bytes=copy.stat().st_size, is_owned=True)

    def keep(self, link: Link, video: Video) -> None:
        """Store a downloaded video; it appears whole or not at all."""
        self.store.upload(video.path, self._path(link))

    def _path(self, link: Link) -> str:
        return f"videos/{self.key}/{link.link_id}"
