from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lists import as_links
from trailergenre.base.errors import StorageError
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.records import FrameForm
from trailergenre.base.storage import Store
from trailergenre.runs import kept_frames
from trailergenre.runs.kept_frames import FramesReader, FramesWriter, KeptFrames
from trailergenre.runs.outcome_row import OutcomeRow

(LINK, OTHER) = as_links(["https://example.org/a.mp4", "https://example.org/b.mp4"])
ROW = OutcomeRow(
    LINK.link_id,
    frames=7,
    attempts=2,
    download_s=1.5,
    decode_s=0.25,
    size_bytes=1000,
    connections=("192.0.2.1:443",),
    width_px=640,
    height_px=360,
    decode_errors=1,
)
FRAMES = np.random.default_rng(7).integers(0, 256, (7, 299, 299, 3), np.uint8)


@pytest.fixture
def kept(tmp_path: Path) -> KeptFrames:
    """A kept that holds the frames of LINK, written in batches of 3, 3 and 1."""
    kept = KeptFrames(Store(str(tmp_path / "run")), "key", keeps_new=True)
    keep(kept, tmp_path / "file", ROW)
    return kept


def keep(kept: KeptFrames, path: Path, row: OutcomeRow) -> None:
    file = FramesWriter(path, kept.place(LINK.link_id), FORM)
    for start in range(0, 7, 3):
        file.add(FRAMES[start : start + 3])
    file.close(row)
    kept.keep(file)


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (5, [5, 2]), (16, [7])])
def test_frames_come_back_as_they_were_in_batches_of_any_size(
    kept: KeptFrames, size: int, sizes: list[int]
) -> None:
    frames = kept.read(LINK.link_id)
    batches = list(frames.batches(size))
    assert [len(batch) for batch in batches] == sizes
    np.testing.assert_array_equal(np.concatenate(batches), FRAMES)
    assert frames.row == ROW


def test_smooth_frames_take_less_than_half_of_their_pixels(tmp_path: Path) -> None:
    slope = np.arange(299, dtype=np.uint8)
    file = FramesWriter(tmp_path / "file", "place", FORM)
    file.add(np.broadcast_to(slope[None, None, :, None], FRAMES.shape).copy())
    file.close(ROW)
    assert file.path.stat().st_size < FRAMES.nbytes / 2


def test_frames_of_another_size_come_back_as_they_were(tmp_path: Path) -> None:
    frames = FRAMES[:, :80, :96]
    file = FramesWriter(tmp_path / "file", f"frames/key/{LINK.link_id}", FrameForm(80, 96))
    file.add(frames)
    file.close(ROW)
    reader = FramesReader(file.path.read_bytes(), file.place, where="here")
    np.testing.assert_array_equal(np.concatenate(list(reader.batches(4))), frames)


def test_a_file_of_an_earlier_version_holds_frames_of_inception(
    kept: KeptFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_frames, "_SIZE", b"unknown then")
    keep(kept, tmp_path / "old", ROW)
    monkeypatch.undo()
    np.testing.assert_array_equal(next(kept.read(LINK.link_id).batches(7)), FRAMES)


def test_only_kept_links_are_found(kept: KeptFrames) -> None:
    assert kept.list_link_ids() == {LINK.link_id}
    assert (kept.has(LINK), kept.has(OTHER)) == (True, False)
    another = KeptFrames(kept.store, "another key", keeps_new=True)
    assert not another.has(LINK)


def damage(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("broken", [damage, lambda c: c[:-1], lambda c: c[:10], lambda c: b""])
def test_a_file_that_was_changed_or_cut_is_refused_by_name(
    kept: KeptFrames, broken: object
) -> None:
    path = f"frames/key/{LINK.link_id}"
    kept.store.write_bytes(path, broken(kept.store.read_bytes(path)))  # type: ignore[operator]
    with pytest.raises(StorageError, match=rf"{path} .* was changed or truncated.*Delete it"):
        kept.read(LINK.link_id)


@pytest.mark.parametrize("key", ["key", "another key"])
def test_frames_of_another_link_or_of_other_settings_are_refused_by_name(
    kept: KeptFrames, key: str
) -> None:
    other = KeptFrames(kept.store, key, keeps_new=True)
    copy = other.place(OTHER.link_id if key == "key" else LINK.link_id)
    kept.store.write_bytes(copy, kept.store.read_bytes(kept.place(LINK.link_id)))
    expected = rf"{copy} .* its frames belong to .*/{LINK.link_id}.*Delete"
    with pytest.raises(StorageError, match=expected):
        other.read(copy.rpartition("/")[2])


@pytest.mark.parametrize("says", [6, 8])
def test_more_or_fewer_frames_than_a_file_says_are_refused_by_name(
    kept: KeptFrames, says: int, tmp_path: Path
) -> None:
    keep(kept, tmp_path / "file", replace(ROW, frames=says))
    with pytest.raises(StorageError, match=rf"{LINK.link_id} .* its 7 frames.*Delete it"):
        list(kept.read(LINK.link_id).batches(4))
