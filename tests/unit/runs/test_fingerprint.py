from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from trailergenre.base.errors import ConfigError, FingerprintError
from trailergenre.base.storage import Store
from trailergenre.runs.fingerprint import (
    FeatureSettings,
    choose_fingerprint,
    list_settings,
    write_settings,
)

SETTINGS = FeatureSettings("rule", 1.0, 299, 7, "b" * 64, "fp32")
CHANGES: dict[str, object] = {
    "format_rule": "other",
    "frames_per_s": 2.0,
    "frame_side_px": 224,
    "ffmpeg_major": 8,
    "backbone_id": "c" * 64,
    "precision": "int8",
    "width": 107,
    "calibration": "d" * 64,
    "frame_height_px": 150,
    "resize": "center-crop",
}


def test_every_setting_has_a_case() -> None:
    assert list(CHANGES) == [field.name for field in fields(FeatureSettings)]


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_each_setting_changes_the_fingerprint_and_is_named(name: str, value: object) -> None:
    changed = replace(SETTINGS, **{name: value})  # type: ignore[arg-type]
    assert changed.fingerprint != SETTINGS.fingerprint
    assert changed.changed_from(SETTINGS) == [f"{name}: {getattr(SETTINGS, name)} -> {value}"]
    assert (changed.videos_key == SETTINGS.videos_key) == (name != "format_rule")


def test_the_fingerprint_stays_the_same_over_versions_of_the_code() -> None:
    assert SETTINGS.fingerprint == "37f672639df1fe1a"
    assert SETTINGS.changed_from(SETTINGS) == []


def test_written_settings_are_listed_by_fingerprint(tmp_path: Path) -> None:
    store, other = Store(str(tmp_path)), replace(SETTINGS, precision="int8")
    for settings in (SETTINGS, other):
        write_settings(store, settings)
    assert list_settings(store) == {SETTINGS.fingerprint: SETTINGS, other.fingerprint: other}


def test_edited_settings_are_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    content = json.dumps({**asdict(SETTINGS), "frames_per_s": 2.0})
    store.write_bytes(f"features/{SETTINGS.fingerprint}/_settings.json", content.encode())
    with pytest.raises(FingerprintError, match=SETTINGS.fingerprint):
        list_settings(store)


@pytest.mark.parametrize(
    "content",
    [json.dumps({**asdict(SETTINGS), "colour": "grey"}), "{}", "[1]", "{"],
    ids=["unknown key", "missing keys", "no object", "cut"],
)
def test_settings_that_cannot_be_understood_are_refused_by_path(
    content: str, tmp_path: Path
) -> None:
    store, path = Store(str(tmp_path)), f"features/{SETTINGS.fingerprint}/_settings.json"
    store.write_bytes(path, content.encode())
    with pytest.raises(FingerprintError, match=path):
        list_settings(store)


def test_directory_of_a_job_that_is_starting_or_was_killed_is_skipped(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (tmp_path / "features" / "0123").mkdir(parents=True)
    assert list_settings(store) == {}
    write_settings(store, SETTINGS)
    assert choose_fingerprint(store, None) == SETTINGS.fingerprint


def test_the_only_features_are_chosen_and_of_several_one_must_be_named(tmp_path: Path) -> None:
    store, other = Store(str(tmp_path)), replace(SETTINGS, frames_per_s=2.0)
    with pytest.raises(ConfigError, match="no features"):
        choose_fingerprint(store, None)
    write_settings(store, SETTINGS)
    assert choose_fingerprint(store, None) == SETTINGS.fingerprint
    write_settings(store, other)
    with pytest.raises(ConfigError) as raised:
        choose_fingerprint(store, None)
    assert all(name in str(raised.value) for name in (SETTINGS.fingerprint, other.fingerprint))
    assert choose_fingerprint(store, other.fingerprint) == other.fingerprint
    for meant in (SETTINGS, other):
        assert choose_fingerprint(store, None, lambda s, m=meant: s == m) == meant.fingerprint
    with pytest.raises(ConfigError, match="choose with --features"):
        choose_fingerprint(store, None, lambda _: True)


def test_unknown_fingerprint_is_refused_with_those_there_are(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_settings(store, SETTINGS)
    with pytest.raises(ConfigError, match=f"'0000'.*{SETTINGS.fingerprint}"):
        choose_fingerprint(store, "0000")


def test_frames_are_shared_by_all_networks_and_by_no_other_sampling() -> None:
    other_network = replace(SETTINGS, backbone_id="another", precision="int8")
    assert other_network.frames_key == SETTINGS.frames_key
    for name, value in (
        ("format_rule", "another"),
        ("frames_per_s", 2.0),
        ("frame_side_px", 150),
        ("frame_height_px", 150),
        ("resize", "center-crop"),
        ("ffmpeg_major", 8),
    ):
        assert replace(SETTINGS, **{name: value}).frames_key != SETTINGS.frames_key
