"""Checks of the sandboxed child processes: ffmpeg, deno, and what protects them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import trailergenre
from trailergenre.base.config import Config
from trailergenre.base.errors import ItemError, one_line
from trailergenre.base.records import INCEPTION_V3_FRAME
from trailergenre.base.sandbox.children import Deadline, start_child
from trailergenre.base.sandbox.protections import missing_protections
from trailergenre.cli.doctor.examine import Finding, Verdict
from trailergenre.frames.decoder import Decoder
from trailergenre.frames.ffmpeg import ffmpeg_major, ffmpeg_version, find_ffmpeg
from trailergenre.videos.attempt import Attempt

_DEADLINE_S = 30.0

_CODECS = {
    "H.264": {"h264"},
    "H.265": {"hevc"},
    "VP9": {"vp9"},
    # Every build lists ffmpeg's own `av1`, which decodes only on graphics hardware.
    "AV1": {"libdav1d"},
}
"""Usual codec of a trailer -> decoders of which one is required."""

_FFMPEG_ADVICE = (
    "Install a complete ffmpeg (Debian: apt-get install ffmpeg; Fedora: from RPM Fusion), or "
    "remove this one from PATH: imageio-ffmpeg includes one."
)

_PROTECTIONS = {
    "net": "ffmpeg can use the network: allow user namespaces (sysctl "
    "kernel.unprivileged_userns_clone=1, user.max_user_namespaces), also inside a container",
    "pdeathsig": "children may outlive a killed worker: only Linux can prevent that",
    "privileges": "children may gain privileges: only Linux can prevent that",
    "rlimits": "limits cannot be lowered: raise the hard limits of this process (ulimit -H)",
    "memory": "the memory of children cannot be monitored: make /proc readable",
}
"""Missing protection -> what follows from it, and what to do."""

# What a download's child runs, up to the point where a site's page would bring a script.
_RUN_SCRIPT = """
import json, subprocess, sys
sys.path.insert(0, sys.argv[1])
from trailergenre.videos.child import find_deno
from trailergenre.videos.ytdlp_patches import load_yt_dlp
from trailergenre.videos.egress_guard import Guard
deno = find_deno()
sys.addaudithook(Guard(allow=frozenset(), proxy=frozenset(), program=deno).check)
load_yt_dlp()
from yt_dlp.utils import Popen
script, *options = sys.argv[2:]
command, pipe = [deno, "run", *options, "-"], subprocess.PIPE
with Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
    out, err = process.communicate_or_kill(script)
print(json.dumps([deno, out, err]))
"""
_SCRIPT = 'console.log(Deno.version.deno + " " + "41".split("").reverse().join(""))'
_REVERSED = "14"
_OPTIONS = (
    *("--ext=js", "--no-code-cache", "--no-prompt", "--no-remote", "--no-lock"),
    *("--node-modules-dir=none", "--no-config", "--no-npm", "--cached-only"),
)
"""As yt-dlp passes them: no network, no files, no prompts."""


def check_ffmpeg(config: Config) -> Finding:
    """Decode a generated clip as a trailer is decoded, and look for the usual decoders."""
    program, version = find_ffmpeg(), ffmpeg_version()
    ffmpeg_major()  # raises if the version is not supported
    summary = f"{version} ({program})"
    with tempfile.TemporaryDirectory() as directory:
        clip = Path(directory) / "clip.mp4"
        source = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=8:d=2", "-c:v", "mpeg4")
        encoded = _run(program, "-v", "error", "-nostdin", *source, str(clip))
        if encoded.returncode != 0:
            problem = f"{summary} cannot encode a clip: {one_line(encoded.stderr)}"
            return Finding(Verdict.FAILED, problem, _FFMPEG_ADVICE)
        video = Decoder(INCEPTION_V3_FRAME, 1.0, config.limits).decode(
            clip, deadline=Deadline(_DEADLINE_S)
        )
        try:
            n_frames = sum(map(len, video.batches(8)))
        except ItemError as error:
            return Finding(
                Verdict.FAILED,
                f"{summary} cannot decode in the sandbox: {error}",
                f"If it names a limit, raise that (section limits). Otherwise: {_FFMPEG_ADVICE}",
            )
    listed = _run(program, "-decoders").stdout
    decoders = set(re.findall(r"^ [A-Z.]{6} (\S+)", listed, re.MULTILINE))
    missing = [name for name, any_of in _CODECS.items() if not any_of & decoders]
    if missing:
        problem = f"{summary} has no decoder for {', '.join(missing)}; such trailers will fail"
        return Finding(Verdict.WARNING, problem, _FFMPEG_ADVICE)
    return Finding(Verdict.OK, f"{summary}; decoded {n_frames} frames in the sandbox")


def check_javascript(config: Config) -> Finding:
    """Run a script as yt-dlp does for YouTube: in deno, started by a download's child."""
    attempt = Attempt(config.network, config.limits, None, None)
    home = str(Path(trailergenre.__file__).parents[1])
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as stderr:
        directory = Path(name)
        (directory / "empty").mkdir()
        with start_child(
            [sys.executable, "-I", "-c", _RUN_SCRIPT, home, _SCRIPT, *_OPTIONS],
            deadline=Deadline(_DEADLINE_S),
            stderr=stderr,
            env=attempt.child_environment(directory),
            limits=attempt.child_limits(),
        ) as child:
            child.stdin.close()
            answer = child.stdout.read()
            code = child.process.wait()
        stderr.seek(0)
        last_line = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
    advice = "pip install --force-reinstall deno 'yt-dlp[default]'"
    if child.is_timed_out:
        last_line = f"no answer within {_DEADLINE_S:g} s"
    if child.is_timed_out or code != 0:
        problem = f"the child exited with {code}: {one_line(last_line)}"
        return Finding(Verdict.FAILED, problem, advice)
    deno, out, err = json.loads(answer)
    version, _, reversed_text = out.strip().partition(" ")
    if reversed_text != _REVERSED:
        return Finding(Verdict.FAILED, f"{deno} cannot run a script: {one_line(err)}", advice)
    return Finding(Verdict.OK, f"deno {version} ({deno}) runs scripts in the sandbox")


def check_sandbox(config: Config) -> Finding:
    """Start a child and check which protections it really gets."""
    missing = missing_protections()
    if not missing:
        return Finding(Verdict.OK, "full: network, parent's death, privileges, limits, memory")
    names = [word.partition("=")[0] for word in missing.split()]
    advice = "; ".join(_PROTECTIONS[name] for name in names)
    return Finding(
        Verdict.WARNING, missing, f"{advice}. docs/security.md says what remains protected."
    )


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "-hide_banner", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_DEADLINE_S,
    )
