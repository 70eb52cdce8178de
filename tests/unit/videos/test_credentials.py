from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from trailergenre.base.config import Config, NetworkConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.videos.credentials import list_secrets, read_cookies, read_proxy, redact
from trailergenre.videos.downloader import Downloader

VARIABLE = "TRAILERGENRE_TEST_PROXY"
COOKIES = """# Netscape HTTP Cookie File
.youtube.com\tTRUE\t/\tTRUE\t2000000000\tSID\tcanary-session
.youtube.com\tTRUE\t/\tTRUE\t2000000000\tPREF\t1
"""


@pytest.fixture
def cookie_file(tmp_path: Path) -> Path:
    path = tmp_path / "cookies.txt"
    path.write_text(COOKIES)
    return path


def test_nothing_is_read_where_nothing_is_asked_for() -> None:
    assert (read_proxy(NetworkConfig()), read_cookies(NetworkConfig())) == (None, None)


def test_proxy_comes_from_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " http://me:canary@proxy:3128\n")
    network = NetworkConfig(proxy_variable=VARIABLE)
    assert read_proxy(network) == "http://me:canary@proxy:3128"
    downloader = Downloader.from_config(Config(network=network), FORM)
    assert (network.egress, downloader.proxy) == ("proxy's", "http://me:canary@proxy:3128")
    assert "canary" not in repr(downloader)


def test_without_a_proxy_the_guard_holds() -> None:
    assert NetworkConfig().egress == "guarded"


@pytest.mark.parametrize("address", [None, "", "  "])
def test_a_variable_that_is_not_set_ends_the_run(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if address is not None:
        monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ConfigError, match=f"{VARIABLE} is not set"):
        read_proxy(NetworkConfig(proxy_variable=VARIABLE))


@pytest.mark.parametrize(
    "address",
    [
        "canary",
        "proxy:canary",
        "ftp://u:canary@proxy:1",
        "http://u:canary@proxy",
        "http://:1/canary",
        "http://u:canary@proxy:99999",
        "http://[canary:1",
    ],
)
def test_what_is_no_proxy_ends_the_run_without_being_shown(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ConfigError, match="scheme://host:port") as raised:
        read_proxy(NetworkConfig(proxy_variable=VARIABLE))
    assert "canary" not in str(raised.value)


def test_cookies_are_read_once_a_task(cookie_file: Path) -> None:
    network = NetworkConfig(cookie_file=str(cookie_file))
    downloader = Downloader.from_config(Config(network=network), FORM)
    cookie_file.unlink()
    assert downloader.cookies == COOKIES
    assert "canary" not in repr(downloader)


@pytest.mark.parametrize(
    "content",
    [
        b'[{"name": "SID", "value": "canary"}]',
        b"# Netscape HTTP Cookie File\ncanary without tabs\n",
        b"canary",
        b"",
        b"# Netscape HTTP Cookie File\n\xff\xfe",
    ],
)
def test_what_is_no_cookie_file_ends_the_run_without_being_shown(
    content: bytes, cookie_file: Path
) -> None:
    cookie_file.write_bytes(content)
    with pytest.raises(ConfigError, match="Netscape") as raised:
        read_cookies(NetworkConfig(cookie_file=str(cookie_file)))
    assert "canary" not in str(raised.value)


def test_a_cookie_file_that_is_not_there_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_cookies(NetworkConfig(cookie_file=str(tmp_path / "none.txt")))


def test_cookies_are_never_for_every_site(cookie_file: Path) -> None:
    network = NetworkConfig(cookie_file=str(cookie_file), cookie_sites=("youtube", "Generic"))
    with pytest.raises(ConfigError, match="generic"):
        read_cookies(network)


@pytest.mark.parametrize(
    "text",
    [
        "http://me:p%40ss%2Fword@proxy:1",
        "user me:p@ss/word",
        "p@ss/word",
        "p%40ss/word",
        "p%40ss%2Fword",
        "Basic " + base64.b64encode(b"me:p@ss/word").decode(),
    ],
)
def test_no_spelling_of_a_password_is_left(text: str) -> None:
    hidden = redact(text, list_secrets(proxy="http://me:p%40ss%2Fword@proxy:1", cookies=None))
    assert "***" in hidden
    for part in ("p@ss", "p%40ss", "word", "bWU6cEBzcy93b3Jk"):
        assert part not in hidden


@pytest.mark.parametrize("secret", ["zq\\wx", "zq'wx", "zq\"'wx", "zä\nwx", "zq\\'\"wx"])
@pytest.mark.parametrize("around", ["{}", "'{}", "'{}\""])
def test_no_secret_is_left_within_quotes(secret: str, around: str) -> None:
    hidden = list_secrets(proxy=f"http://me:{quote(secret, safe='')}@proxy:1", cookies=None)
    said = around.format(secret)
    for text in (str(KeyError(said)), ascii(said), repr(said.encode()), json.dumps(said)):
        shown = redact(text, hidden)
        assert "***" in shown
        assert not re.search("z|wx", shown)


def test_a_token_without_a_password_is_hidden_too() -> None:
    hidden = redact("token tok3n", list_secrets(proxy="http://tok3n@proxy:1", cookies=None))
    assert hidden == "token ***"


def test_values_of_cookies_are_hidden_where_they_are_secrets() -> None:
    hidden = redact("SID=canary-session; 1 attempt", list_secrets(proxy=None, cookies=COOKIES))
    assert hidden == "SID=***; 1 attempt"


def test_nothing_secret_hides_nothing() -> None:
    assert redact("a reason", list_secrets(proxy="http://proxy:1", cookies=None)) == "a reason"
