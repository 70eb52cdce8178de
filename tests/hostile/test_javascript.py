"""YouTube's JavaScript challenges, solved by yt-dlp's own provider inside the finished sandbox."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import trailergenre
from trailergenre.base.config import LimitsConfig, NetworkConfig
from trailergenre.base.sandbox.children import Child, Deadline, start_child
from trailergenre.videos.attempt import Attempt

# What the solver looks for in a player of YouTube: a function that says "alr", "yes", and builds an
# address whose first method of its own changes the parameter n.
PLAYER = """
(function () {
  function Address(text) { this.values = {}; }
  Address.prototype.get = function (name) { return this.values[name]; };
  Address.prototype.set = function (name, value) { this.values[name] = value; };
  Address.prototype.transform = function () {
    %s
    var n = this.get("n");
    if (n) { this.set("n", n.split("").reverse().join("") + "!"); }
  };
  function build(text, name, sig) {
    var address = new Address(text);
    address.set("alr", "yes");
    if (sig) {
      var plain = decodeURIComponent(sig);
      address.set(name, encodeURIComponent(plain.slice(2) + plain.slice(0, 2)));
    }
    return address;
  }
}).call(this);
"""

# The child as it is, up to the point where a real one would ask YouTube for its player.
SOLVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from trailergenre.videos.child import find_deno
from trailergenre.videos.ytdlp_patches import load_yt_dlp
from trailergenre.videos.egress_guard import Guard
from trailergenre.videos.options import link_options
from trailergenre.videos.options import DownloadLimits

request = json.load(sys.stdin)
request["deno"] = find_deno()
guard = Guard(allow=frozenset(), proxy=frozenset(), program=request["deno"])
sys.addaudithook(guard.check)
youtube_dl = load_yt_dlp()
from yt_dlp.extractor.youtube.jsc import provider as jsc
from yt_dlp.extractor.youtube.jsc._director import initialize_jsc_director

watch = DownloadLimits(max_file_bytes=1, max_duration_s=1, max_requests=1)
with youtube_dl(link_options(request, watch, cookie_extractor=None)) as ydl:
    extractor = ydl.get_info_extractor("Youtube")
    extractor._load_player = lambda video_id, player_url, fatal: request["player"]
    kinds = jsc.JsChallengeType
    n, sig = jsc.NChallengeInput("player", ["abcdef"]), jsc.SigChallengeInput("player", ["ABCDEF"])
    solved = initialize_jsc_director(extractor).bulk_solve(
        [jsc.JsChallengeRequest(kinds.N, n), jsc.JsChallengeRequest(kinds.SIG, sig)]
    )
print(json.dumps([response.output.results for _, response in solved]))
"""


@contextlib.contextmanager
def solving(directory: Path, player: str, **limits: int) -> Iterator[Child]:
    """A child with the download child's own environment and limits, asked to solve a player."""
    (directory / "empty").mkdir()
    request = {
        "directory": str(directory),
        "empty": str(directory / "empty"),
        "name": "x",
        "proxy": None,
        "side_px": 299,
        "player": player,
    }
    attempt = Attempt(NetworkConfig(), LimitsConfig(), None, None)
    home = str(Path(trailergenre.__file__).parents[1])
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            [sys.executable, "-I", "-c", SOLVE, home],
            deadline=Deadline(60),
            stderr=stderr,
            env=attempt.child_environment(directory),
            limits=replace(attempt.child_limits(), **limits),
        ) as child,
    ):
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        yield child


def test_challenges_are_solved(tmp_path: Path) -> None:
    with solving(tmp_path, PLAYER % "") as child:
        assert json.loads(child.stdout.read()) == [{"abcdef": "fedcba!"}, {"ABCDEF": "CDEFAB"}]
        assert child.process.wait() == 0


def test_no_challenge_is_solved_under_an_address_space_of_2_gb(tmp_path: Path) -> None:
    # Why the download child has no such limit; its bound is the memory of its group.
    with solving(tmp_path, PLAYER % "", address_space_bytes=2_000_000_000) as child:
        assert json.loads(child.stdout.read()) == []


def test_a_script_that_hangs_dies_with_the_child(tmp_path: Path) -> None:
    with solving(tmp_path, PLAYER % "while (true) {}") as child:
        deno = wait_for_deno(psutil.Process(child.process.pid))
        # As when the worker is killed: nobody is left to end the group.
        child.process.kill()
        assert is_gone(deno)


def wait_for_deno(process: psutil.Process) -> psutil.Process:
    """The runtime once it hangs in the script: it has read all of it, and solves one in 0.3 s."""
    deadline = Deadline(60)
    while deadline.left_s:
        for child in process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name() == "deno" and child.cpu_times().user > 1.5:
                    return child
        time.sleep(0.05)
    pytest.fail("no deno was started")


def is_gone(process: psutil.Process) -> bool:
    """Whether it ends soon; a zombie that nobody has reaped yet has ended."""
    deadline = Deadline(10)
    while deadline.left_s:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False
