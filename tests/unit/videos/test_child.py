"""The child process without a download: what it imports, and what yt-dlp can no longer do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import trailergenre
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.videos import child
from trailergenre.videos.child import _cookie_extractor, _judge

YOUTUBE = "https://www.youtube.com/watch?v=aqz-KE-bpKQ"


def run_child(code: str, *homes: Path) -> Any:
    """Run code in a bare interpreter and parse the JSON that it prints."""
    package = Path(trailergenre.__file__).parents[1]
    paths = [str(home) for home in (*homes, package)]
    start = f"import json, sys; sys.path[:0] = {paths!r}\n{code}"
    run = subprocess.run([sys.executable, "-I", "-c", start], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_child_loads_nothing_heavy_before_its_request() -> None:
    loaded = set(
        run_child("import trailergenre.videos.child\nprint(json.dumps(list(sys.modules)))")
    )
    assert "trailergenre.videos.egress_guard" in loaded
    assert loaded.isdisjoint({"numpy", "pydantic", "tenacity", "psutil", "pyarrow", "yt_dlp"})


COMPILED = """
import re
from trailergenre.videos.child import warm_up

n_steps = sum(1 for _ in warm_up())
from yt_dlp.extractor import gen_extractor_classes
compile_, compiled = re._compiler.compile, []

def noted(*arguments):
    compiled.append(arguments)
    return compile_(*arguments)

re._compiler.compile = noted
for extractor in gen_extractor_classes():
    extractor.suitable("https://other.example/page")
print(json.dumps([n_steps, len(compiled)]))
"""


def test_nothing_is_left_to_compile_after_the_warm_up() -> None:
    n_steps, n_compiled = run_child(COMPILED)
    # More than 1,000 without the warm-up; some patterns are built anew each time.
    assert n_steps > 1000
    assert n_compiled < 100


# One process for the tests below, because importing yt-dlp takes half a second.
FACTS = """
from trailergenre.videos.ytdlp_patches import load_yt_dlp

closed = load_yt_dlp()
from yt_dlp.extractor.vimeo import smuggle_url as smuggle_in_extractor
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import Popen, smuggle_url, unsmuggle_url

facts = {"refused": {}}
with closed({"quiet": True, "cachedir": False}) as ydl:
    facts["clients"] = list(ydl._request_director.handlers)
    for url in ("ftp://127.0.0.1/x", "data:,x", "file:///etc/hostname", "ws://127.0.0.1/x"):
        try:
            ydl.urlopen(url)
        except RequestError as error:
            facts["refused"][url] = type(error).__name__
facts["plugins"] = [name for name in sys.modules if name.startswith("yt_dlp_plugins")]
ours = smuggle_in_extractor(smuggle_url("http://x/#y", {"a": 1}), {"a": 2, "b": "#="})
outside = "http://x/#__youtubedl_smuggle=%7B%22a%22%3A+1%7D"
facts["smuggled"] = [unsmuggle_url(ours), unsmuggle_url(outside), unsmuggle_url("x", {})]
code = "import json, os; print(json.dumps(dict(os.environ)))"
command = [sys.executable, "-I", "-c", code]
printed, _, _ = Popen.run(command, env={"HTTPS_PROXY": "secret"}, text=True, stdout=-1)
facts["environment"] = json.loads(printed)
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Facts of a child that could load a native client and a plugin, each of which would end it."""
    home = tmp_path_factory.mktemp("home")
    for module in ("curl_cffi/__init__.py", "yt_dlp_plugins/extractor/evil.py"):
        (home / module).parent.mkdir(parents=True)
        (home / module).write_text("raise SystemExit('loaded')")
    return dict(run_child(FACTS, home))


def test_there_is_one_client_and_no_plugin(facts: dict[str, Any]) -> None:
    assert facts["clients"] == ["Bounded"]
    assert facts["plugins"] == []


def test_only_http_is_spoken(facts: dict[str, Any]) -> None:
    assert set(facts["refused"].values()) == {"NoSupportingHandlers", "RequestError"}
    assert len(facts["refused"]) == 4


def test_extractors_hand_on_options_but_take_none_from_outside(facts: dict[str, Any]) -> None:
    outside = "http://x/#__youtubedl_smuggle=%7B%22a%22%3A+1%7D"
    assert facts["smuggled"] == [["http://x/#y", {"a": 1, "b": "#="}], [outside, None], ["x", {}]]


def test_programs_see_nothing_of_what_yt_dlp_would_tell_them(facts: dict[str, Any]) -> None:
    assert "HTTPS_PROXY" not in facts["environment"]
    assert facts["environment"]["DENO_NO_UPDATE_CHECK"] == "1"


@pytest.mark.parametrize(
    ("url", "sites", "extractor"),
    [
        (YOUTUBE, ["YouTube"], "youtube"),
        (YOUTUBE, ["vimeo"], None),
        ("https://vimeo.com/76979871", ["youtube"], None),
        ("https://example.org/watch?v=youtube", ["youtube", "generic"], None),
    ],
)
def test_cookies_go_to_named_extractors(url: str, sites: list[str], extractor: str | None) -> None:
    request = {"url": url, "cookie_sites": sites, "cookies": "x"}
    assert _cookie_extractor(request) == extractor
    assert _cookie_extractor({**request, "cookies": None}) is None


def test_what_breaks_the_judge_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(error: BaseException) -> ItemError:
        raise OverflowError("too far away")

    monkeypatch.setattr(child.error_classes, "classify", broken)
    judged = _judge(ValueError("x"), has_proxy=False)
    assert judged.outcome is Outcome.INTERNAL
    assert judged.detail == "OverflowError: too far away"


def test_proxys_name_is_looked_up_once() -> None:
    code = """
import socket
from trailergenre.videos.egress_guard import resolve_proxy
asked = []
def look_up(host, port, *arguments, **more):
    asked.append(host)
    address = (f"192.0.2.{len(asked)}", port)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]
socket.getaddrinfo = look_up
places = list(resolve_proxy("http://proxy.example:3128"))
again = socket.getaddrinfo("proxy.example", 3128, 0, socket.SOCK_STREAM)
other = socket.getaddrinfo("other.example", 80)
print(json.dumps([places, again[0][4], other[0][4], asked]))
"""
    assert run_child(code) == [
        ["192.0.2.1:3128"],
        ["192.0.2.1", 3128],
        ["192.0.2.2", 80],
        ["proxy.example", "other.example"],
    ]
