from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from trailergenre.base.config import Config, HostConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_defaults() -> None:
    assert load_config() == Config()


def test_a_later_file_wins_key_by_key_and_set_wins_over_all(tmp_path: Path) -> None:
    first = write(tmp_path / "a.toml", "[frames]\nper_second = 2\n[forest]\ntrees = 10\nseed = 1")
    second = write(tmp_path / "b.toml", "[forest]\nseed = 2")
    config = load_config([first, second], ["forest.trees=20"])
    assert (config.frames.per_second, config.forest.trees, config.forest.seed) == (2.0, 20, 2)


def test_a_settings_file_is_found_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home, named = tmp_path / "here", tmp_path / "home", tmp_path / "named.toml"
    (home / "trailergenre").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("TRAILERGENRE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    assert load_config() == Config()
    write(home / "trailergenre" / "trailergenre.toml", "[forest]\ntrees = 11")
    assert load_config().forest.trees == 11
    write(here / "trailergenre.toml", "[forest]\ntrees = 12\nseed = 3")
    assert load_config().forest.trees == 12
    added = load_config([write(tmp_path / "added.toml", "[forest]\ntrees = 13")])
    assert (added.forest.trees, added.forest.seed) == (13, 3)
    monkeypatch.setenv("TRAILERGENRE_CONFIG", str(write(named, "[forest]\ntrees = 14")))
    assert load_config().forest.trees == 14
    monkeypatch.setenv("TRAILERGENRE_CONFIG", str(tmp_path / "no.toml"))
    with pytest.raises(ConfigError, match=r"no\.toml cannot be read: No such file"):
        load_config()


def test_youtube_is_paced_whatever_else_is() -> None:
    paced = HostConfig(lanes=1, seconds_between=12)
    assert load_config().hosts == {"youtube.com": paced}
    other = load_config(overrides=['hosts."vimeo.com".lanes=2']).hosts
    assert other == {"youtube.com": paced, "vimeo.com": HostConfig(lanes=2)}
    faster = load_config(overrides=['hosts."youtube.com".seconds_between=1']).hosts
    assert faster["youtube.com"].seconds_between == 1


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("frames.per_second=0.5", "frames", "per_second", 0.5),
        ("mongo.database=movies", "mongo", "database", "movies"),
        ('mongo.database="12"', "mongo", "database", "12"),
        ('links.allowed_roots=["/a", "/b"]', "links", "allowed_roots", ("/a", "/b")),
        ("backbone.path=/models/a=b", "backbone", "path", "/models/a=b"),
    ],
)
def test_set_takes_toml_values_and_bare_words(
    override: str, section: str, key: str, value: object
) -> None:
    assert getattr(getattr(load_config(overrides=[override]), section), key) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("frames.per_secnd=1", r"unknown key frames\.per_secnd.*frames\.per_second"),
        ("frame.per_second=1", r"unknown key frame;.*closest valid one is frames"),
        ("frames.per_second=0", r"frames\.per_second.*greater than 0.*Received: 0"),
        ("frames.per_second=fast", r"frames\.per_second.*number.*Received: 'fast'"),
        ("dataset.fold=5", r"dataset: with 5 folds the last fold is 4\. Received"),
        ("forest.max_depth=31", r"forest\.max_depth.*30.*Received: 31"),
        ("backbone.device=tpu", r"backbone\.device.*'cpu' or 'gpu'.*Received: 'tpu'"),
        ("mongo.collection=frames_meta", r"mongo\.collection: .*_trailers or _meta.*'frames_meta'"),
        ("mongo.collection=a_trailers", r"mongo\.collection: .*_trailers or _meta.*'a_trailers'"),
        ("frames", "section.key=value.*Received: 'frames'"),
        ("frames=1", "section.key=value.*Received: 'frames=1'"),
        ("hosts.youtube.com.lanes=2", r'hosts\.youtube\.com;.* hosts\."youtube\.com"\.lanes'),
        ('hosts."youtube.com".lane=2', r'"youtube\.com"\.lane;.* hosts\."youtube\.com"\.lanes'),
        ('hosts."youtube.com".lanes=0', r'hosts\."youtube\.com"\.lanes: .*Received: 0'),
        ('hosts."YouTube.com".lanes=1', "lower case, without scheme.*Received: 'YouTube.com'"),
        ('hosts."127.0.0.1:80".lanes=1', "without scheme, port or path.*'127.0.0.1:80'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_is_valid(
    override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=[override])


@pytest.mark.parametrize(
    "key",
    ["mongo.uri_file", "mongo.uri_variable", "network.proxy_variable", "network.cookie_file"],
)
@pytest.mark.parametrize(
    "uri",
    ["mongodb://u:canary-9f2@h/x", "u:canary-9f2@h:27017", "socks5h://u:canary-9f2@proxy:1080"],
)
def test_a_connection_string_where_its_place_belongs_is_refused_unrepeated(
    key: str, uri: str
) -> None:
    told = rf"{re.escape(key)}: name the variable or file that holds it, not what it holds\.$"
    with pytest.raises(ConfigError, match=told) as caught:
        load_config(overrides=[f"{key}={uri}"])
    assert "canary-9f2" not in f"{caught.value} {caught.value.__cause__}"


def test_a_file_with_an_at_sign_in_its_path_may_hold_the_connection_string() -> None:
    for path in ("/home/me@example.org/uri", "~/me@home", "./a@b"):
        assert load_config(overrides=[f"mongo.uri_file={path}"]).mongo.uri_file == path


def test_settings_of_a_host_are_merged_key_by_key(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", '[hosts."youtube.com"]\nlanes = 3\nseconds_between = 4')
    hosts = load_config(
        [file], ['hosts."youtube.com".seconds_between=0.5', 'hosts."::1".lanes=1']
    ).hosts
    assert hosts == {
        "youtube.com": HostConfig(lanes=3, seconds_between=0.5),
        "::1": HostConfig(lanes=1, seconds_between=12),
    }


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"frames\.per_second.*forest\.trees"):
        load_config(overrides=["frames.per_second=0", "forest.trees=0"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[frames\n", "is not TOML"),
        ("per_second = 1\n", "'per_second' is not a section"),
        ("\udcff", "is not TOML"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=message) as caught:
        load_config([path])
    assert "broken.toml" in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read: No such file"):
        load_config([tmp_path / "absent.toml"])


def test_a_configuration_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.frames.per_second = 2.0  # type: ignore[misc]
    assert config.frames.per_second == 1.0
