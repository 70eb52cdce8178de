from __future__ import annotations

from pathlib import Path

import pytest

from lists import as_links
from trailergenre.base.records import Video
from trailergenre.base.storage import Store
from trailergenre.runs.kept_videos import KeptVideos

(LINK, OTHER) = as_links(["https://example.org/a.mp4", "https://example.org/b.mp4"])


@pytest.fixture
def kept(tmp_path: Path) -> KeptVideos:
    """A kept that holds the video of LINK."""
    downloaded = tmp_path / "downloaded"
    downloaded.write_bytes(b"video")
    kept = KeptVideos(Store(str(tmp_path / "run")), "key", keeps_new=True)
    kept.keep(LINK, Video(downloaded, size_bytes=5, is_owned=True))
    downloaded.unlink()
    return kept


def test_kept_video_is_used_where_it_lies_and_stays_there(kept: KeptVideos, tmp_path: Path) -> None:
    video = kept.find(LINK, tmp_path)
    assert video is not None
    assert video.path == tmp_path / "run" / "videos" / "key" / LINK.link_id
    assert (video.path.read_bytes(), video.size_bytes, video.is_owned) == (b"video", 5, False)


def test_video_on_another_store_is_copied_to_scratch(
    kept: KeptVideos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "is_local", False)
    video = kept.find(LINK, tmp_path)
    assert video is not None
    assert (video.path, video.is_owned) == (tmp_path / LINK.link_id, True)
    assert video.path.read_bytes() == b"video"


def test_only_kept_links_of_the_same_format_rule_are_found(
    kept: KeptVideos, tmp_path: Path
) -> None:
    other_rule = KeptVideos(kept.store, "another key", keeps_new=True)
    assert kept.list_link_ids() == {LINK.link_id}
    assert kept.find(OTHER, tmp_path) is None
    assert other_rule.list_link_ids() == set()
    assert other_rule.find(LINK, tmp_path) is None
