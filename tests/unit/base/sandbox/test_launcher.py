from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from trailergenre.base.sandbox import launcher
from trailergenre.base.sandbox.children import ChildLimits, Deadline, start_child
from trailergenre.base.sandbox.launcher import LAUNCH_FAILED
from trailergenre.base.sandbox.protections import protections

LIMITS = ChildLimits(
    cpu_s=60,
    file_bytes=1_000_000,
    memory_bytes=1_000_000_000,
    address_space_bytes=None,
    has_network=True,
)
GONE_S = 2.0
"""A child must be gone this soon after its parent."""


def run(code: str, limits: ChildLimits = LIMITS) -> tuple[int, str, str]:
    """Exit code, standard output and error of Python code in the sandbox."""
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            [sys.executable, "-c", code],
            deadline=Deadline(60),
            stderr=stderr,
            env={"LANG": "C.UTF-8"},
            limits=limits,
        ) as child,
    ):
        out = child.stdout.read().decode()
        code_ = child.process.wait()
        stderr.seek(0)
        return code_, out, stderr.read().decode()


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these")


def test_limits_are_in_force() -> None:
    code = """
import resource as r
print([r.getrlimit(k)[0] for k in (r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_CORE)])
print(r.getrlimit(r.RLIMIT_AS)[0] == r.RLIM_INFINITY)
"""
    assert run(code)[1] == f"[60, 1000000, {launcher.N_FILES}, 0]\nTrue\n"


@linux
def test_address_space_is_bounded_where_asked() -> None:
    limits = replace(LIMITS, address_space_bytes=500_000_000)
    code, _, error = run("bytearray(600_000_000)", limits)
    assert (code, "MemoryError" in error) == (1, True)
    assert run("bytearray(600_000_000)")[0] == 0


def test_processor_time_is_bounded() -> None:
    assert run("while True: pass", replace(LIMITS, cpu_s=1))[0] == -signal.SIGXCPU


def test_a_file_that_grows_too_large_ends_the_program() -> None:
    # The launcher's interpreter ignores the signal for itself, and must not hand that on.
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            ["/bin/sh", "-c", "yes complaint 1>&2"],
            deadline=Deadline(60),
            stderr=stderr,
            env={"PATH": os.environ["PATH"]},
            limits=LIMITS,
        ) as child,
    ):
        assert child.process.wait() in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ)
        assert os.fstat(stderr.fileno()).st_size == LIMITS.file_bytes


@linux
def test_no_network_but_its_own() -> None:
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "-rn", "true"], check=False).returncode != 0:
        pytest.skip("this machine gives no network namespaces")
    assert protections()["net"]
    code = """
import socket
print([name for _, name in socket.if_nameindex()])
try:
    socket.create_connection(("127.0.0.1", 9), timeout=5)
except OSError as error:
    print(error.strerror)
"""
    assert run(code, replace(LIMITS, has_network=False))[1] == "['lo']\nNetwork is unreachable\n"
    assert "unreachable" not in run(code)[1]


@linux
def test_files_of_the_worker_can_be_read_without_network(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_text("readable")
    path.chmod(0o600)
    code = f"print(open({str(path)!r}).read())"
    assert run(code, replace(LIMITS, has_network=False))[1] == "readable\n"


def test_a_program_that_is_not_there_ends_as_in_a_shell() -> None:
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            ["/nowhere/ffmpeg"], deadline=Deadline(60), stderr=stderr, env={}, limits=LIMITS
        ) as child,
    ):
        assert child.process.wait() == LAUNCH_FAILED
        stderr.seek(0)
        assert stderr.read().startswith(b"/nowhere/ffmpeg cannot be started: ")


PARENT = """
import sys, tempfile
from trailergenre.base.sandbox.children import ChildLimits, Deadline, start_child
limits = ChildLimits(60, 10**6, 10**9, None, True)
with tempfile.TemporaryFile() as stderr, start_child(
    ["/bin/sleep", "60"], deadline=Deadline(60), stderr=stderr, env={}, limits=limits
) as child:
    # The launcher has become the program once its name says so.
    while "sleep" not in open(f"/proc/{child.process.pid}/comm").read():
        pass
    print(child.process.pid, flush=True)
    sys.stdin.read()
"""


@linux
def test_a_killed_worker_takes_its_child_along() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        ends_at = time.monotonic() + GONE_S
        while time.monotonic() < ends_at and is_alive(child):
            time.sleep(0.05)
        assert not is_alive(child)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie waits only for whoever is its parent now."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_child_of_a_parent_that_is_gone_does_not_begin(tmp_path: Path) -> None:
    source = Path(launcher.__file__).read_text()
    mark = tmp_path / "began"
    numbers = f"{os.getpid() + 1},60,1000000,0,1"
    code = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source, numbers, "/bin/sh", "-c", f": > {mark}"],
        check=False,
    ).returncode
    assert (code, mark.exists()) == (LAUNCH_FAILED, False)


def test_the_launcher_imports_only_what_starts_in_milliseconds() -> None:
    tree = ast.parse(Path(launcher.__file__).read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert names == {"ctypes", "os", "resource", "sys"}


@linux
def test_protections_are_what_a_child_finds() -> None:
    found = protections()
    assert set(found) == {"net", "pdeathsig", "privileges", "rlimits", "memory"}
    # What every Linux grants; a container may refuse the network.
    assert [name for name in found if name != "net" and not found[name]] == []


REFUSING = """
class Refusing:
    def __getattr__(self, name):
        return lambda *_: -1
"""


@linux
def test_a_refused_protection_is_known_and_fails_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in for a machine that refuses them, put in front of the real launcher.
    source = Path(launcher.__file__).read_text()
    without = source.replace("ctypes.CDLL(None)", "Refusing()").replace("import ctypes\n", REFUSING)
    monkeypatch.setattr("trailergenre.base.sandbox.children._launcher_source", lambda: without)
    found = protections.__wrapped__()
    assert found == {
        "net": False,
        "pdeathsig": False,
        "privileges": False,
        "rlimits": True,
        "memory": True,
    }


def test_the_javascript_runtime_gets_along_with_its_limits() -> None:
    import deno

    limits = replace(LIMITS, has_network=False)
    with (
        tempfile.TemporaryFile() as stderr,
        start_child(
            [deno.find_deno_bin(), "eval", "console.log(JSON.stringify([6 * 7]))"],
            deadline=Deadline(60),
            stderr=stderr,
            env={"HOME": tempfile.gettempdir(), "DENO_NO_UPDATE_CHECK": "1"},
            limits=replace(limits, memory_bytes=4_000_000_000),
        ) as child,
    ):
        assert json.loads(child.stdout.read()) == [42]
