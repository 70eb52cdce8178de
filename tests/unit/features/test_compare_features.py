from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.features.compare_features import compare_features, read_published

OURS = np.random.default_rng(0).gamma(1, 1, (5, 16)).astype(np.float32)
OTHER = np.random.default_rng(1).gamma(1, 1, (5, 16)).astype(np.float32)


@pytest.mark.parametrize(
    ("theirs", "holds", "verdict"),
    [
        (OURS, True, "the same features, up to rounding"),
        (OURS.astype(np.float16).astype(np.float32), True, "the same features, up to rounding"),
        (OURS[:4], False, "the same features, but of 4 frames, not 5"),
        (OURS + 0.2 * OTHER, False, "much alike: probably the same network on frames"),
        (OTHER, False, "another network, other weights"),
        (OURS * 255, False, "or other preprocessing"),
    ],
)
def test_the_verdict_says_what_differs(theirs: np.ndarray, holds: bool, verdict: str) -> None:
    found = compare_features(OURS, theirs)
    assert found.holds is holds
    assert verdict in found.verdict()
    assert found.lines()[-1] == f"verdict: {found.verdict()}"


def test_exchanged_channels_are_named() -> None:
    assert "computed from BGR" in compare_features(OURS, OTHER, swapped=OTHER).verdict()
    assert "another network" in compare_features(OURS, OTHER, swapped=OURS * 2).verdict()


def test_figures_are_of_each_frame_and_the_worst_are_shown() -> None:
    theirs = OURS.copy()
    theirs[3, 2] += 1
    found = compare_features(OURS, theirs)
    largest = np.abs(theirs[3]).max()
    assert found.deviations.tolist() == pytest.approx([0, 0, 0, 1 / largest, 0], abs=1e-6)
    assert found.cosines[3] < found.cosines[[0, 1, 2, 4]].min()
    assert found.lines()[4].split()[0] == "3"
    record = found.to_json()
    assert record["is_same"] is False
    assert record["deviation"] == found.deviations.tolist()


def test_one_frame_and_frames_that_are_all_alike_are_compared() -> None:
    assert compare_features(OURS[:1], OURS[:1]).holds
    still = np.repeat(OURS[:1], 4, axis=0)
    assert compare_features(still, still).cosines == pytest.approx(np.ones(4))


def test_features_are_read_from_each_kind_of_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", OURS.astype(np.float64))
    np.savez(tmp_path / "x.npz", OURS)
    np.savez(tmp_path / "named.npz", url=np.array(["a"] * 5), features=OURS)
    table = {
        "link_id": ["b"] * 2 + ["a"] * 5,
        "frame_index": [0, 1, 4, 3, 2, 1, 0],
        "features": [*OTHER[:2].tolist(), *OURS[::-1].tolist()],
    }
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    for name in ("x.npy", "x.npz", "named.npz", "x.parquet"):
        read = read_published(tmp_path / name, 16, "a")
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, OURS)


def save(path: Path, value: object) -> Path:
    np.save(path, np.array(value, dtype=object if value is None else None), allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (OURS[0], r"shape \(frames, 16\). Received: float32 of shape \(16,\)"),
        (OURS[:0], r"Received: float32 of shape \(0, 16\)"),
        (np.ones((2, 16), np.int64), "Received: int64"),
        (np.ones((2, 48)), "48 wide, those of the network 16.*or pooled"),
        (np.full((2, 16), np.nan), "not finite"),
        (None, "cannot be read"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, value: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_published(save(tmp_path / "x.npy", value), 16, "a")


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name, content in (("x.npy", b"no"), ("x.npz", b"PK\x03\x04"), ("x.parquet", b"PAR1")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be read"):
            read_published(tmp_path / name, 16, "a")
    (tmp_path / "x.csv").touch()
    with pytest.raises(ConfigError, match=r"takes \.npy, \.npz or \.parquet"):
        read_published(tmp_path / "x.csv", 16, "a")
    with pytest.raises(ConfigError, match="There is no file"):
        read_published(tmp_path / "none.npy", 16, "a")
    np.savez(tmp_path / "two.npz", a=OURS, b=OURS)
    with pytest.raises(ConfigError, match="has the arrays a, b"):
        read_published(tmp_path / "two.npz", 16, "a")
    columns = {"link_id": ["b", "c"], "frame_index": [0, 0], "features": OURS[:2].tolist()}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="has 2 links, and none is the video"):
        read_published(tmp_path / "x.parquet", 16, "a")
    pq.write_table(pa.table({"link_id": ["a"]}), tmp_path / "y.parquet")
    with pytest.raises(ConfigError, match="lacks the columns features, frame_index"):
        read_published(tmp_path / "y.parquet", 16, "a")
