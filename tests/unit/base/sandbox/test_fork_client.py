"""Forks of a warmed program: as bound, limited and alone as any other child."""

from __future__ import annotations

import os
import signal
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from forked import HOME, LIMITS, fork_python, program, run_fork
from trailergenre.base.errors import ToolMissingError
from trailergenre.base.sandbox import launcher
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.sandbox.fork_client import fork_child, stop_servers

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these")

GRANDCHILD = """
import subprocess, sys
code = "import os, time; print(os.getpid(), flush=True); time.sleep(20); print('still alive')"
subprocess.run([sys.executable, "-c", code])
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('word')", 0),
        ("raise SystemExit(3)", 3),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_how_a_fork_ended_is_told_as_of_any_process(code: str, expected: int) -> None:
    assert run_fork(code).code == expected


def test_streams_directory_and_environment_are_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "ours")
    code = """
import os, sys
print(os.environ, os.getcwd(), file=sys.stderr)
print(sys.stdin.read().upper())
"""
    with (
        (tmp_path / "log").open("w+b") as log,
        fork_child(
            program(run=f"exec({code!r}, {{}})"),
            directory=tmp_path,
            deadline=Deadline(60),
            stderr=log,
            env={"GIVEN": "yes"},
            limits=LIMITS,
        ) as child,
    ):
        child.stdin.write(b"word")
        child.stdin.close()
        assert child.stdout.read() == b"WORD\n"
        assert (child.process.wait(), child.is_timed_out) == (0, False)
    assert (tmp_path / "log").read_text() == f"environ({{'GIVEN': 'yes'}}) {tmp_path}\n"


def test_an_error_is_on_its_stderr() -> None:
    assert run_fork("1 / 0").out.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_a_fork_that_cannot_become_a_child_ends_as_a_program_that_fails(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w+b") as log,
        fork_child(
            program(),
            directory=tmp_path / "none",
            deadline=Deadline(60),
            stderr=log,
            env={},
            limits=LIMITS,
        ) as child,
    ):
        assert child.stdout.read() == b""
        assert child.process.wait() == 1
    assert "FileNotFoundError" in (tmp_path / "log").read_text()
    assert run_fork("print(1)").out == "1\n"


@linux
def test_it_is_bound_and_has_no_files_but_its_own() -> None:
    code = """
import ctypes, os
libc, death = ctypes.CDLL(None), ctypes.c_int()
libc.prctl(2, ctypes.byref(death), 0, 0, 0)
print(death.value, libc.prctl(39, 0, 0, 0, 0), os.getsid(0) == os.getpid() == os.getpgid(0))
names = os.listdir("/proc/self/fd")
print(sorted(int(name) for name in names if os.path.exists(f"/proc/self/fd/{name}")))
print([os.get_inheritable(number) for number in range(4)])
"""
    with fork_python("import time; time.sleep(30)"):
        ended = run_fork(code)
    # The fourth is its line to the worker.
    files = "[0, 1, 2, 3]\n[True, True, True, False]"
    assert ended.out == f"{signal.SIGKILL:d} 1 True\n{files}\n"


def test_limits_are_in_force_and_no_other_forks() -> None:
    code = """
import resource as r
print([r.getrlimit(k)[0] for k in (r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_CORE)])
print(r.getrlimit(r.RLIMIT_AS)[0])
"""
    small = replace(LIMITS, cpu_s=7, file_bytes=1000, address_space_bytes=4 << 30)
    unlimited = -1
    assert run_fork(code, small).out == f"[7, 1000, {launcher.N_FILES}, 0]\n{4 << 30}\n"
    assert run_fork(code).out == f"[60, 1000000, {launcher.N_FILES}, 0]\n{unlimited}\n"


def test_processor_time_of_one_is_not_the_nexts() -> None:
    one_second = replace(LIMITS, cpu_s=1)
    burn = "import time\nwhile time.process_time() < 0.6: pass\nprint('done')"
    assert [run_fork(burn, one_second).out for _ in range(2)] == ["done\n"] * 2


def test_what_a_fork_leaves_does_not_reach_the_next() -> None:
    of = program(warm_up="import os; state = [os.getpid()]", run="exec(sys.stdin.read())")
    code = """
import os, signal, sys, __main__
print(__main__.state == [os.getppid()], "LEFT" in os.environ, hasattr(sys, "left"))
__main__.state.append("left")
os.environ["LEFT"] = sys.left = "left"
os.umask(0o777)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def refuse(event, _):
    if event == "os.listdir":
        raise PermissionError("refused for ever")
os.listdir()
sys.addaudithook(refuse)
"""
    assert [run_fork(code, of=of).out for _ in range(2)] == ["True False False\n"] * 2


def test_warm_up_is_done_once_and_nobody_waits_for_all_of_it(tmp_path: Path) -> None:
    # Endless steps: a request comes in between.
    steps = f"import itertools; open({str(tmp_path / 'log')!r}, 'a').write('x')"
    code = program(warm_up=steps)[1].replace("iter(())", "itertools.count()")
    assert [run_fork("print(1)", of=["-c", code]).out for _ in range(2)] == ["1\n"] * 2
    assert (tmp_path / "log").read_text() == "x"
    stop_servers()


def test_the_deadline_ends_the_group_and_the_read() -> None:
    # The grandchild holds the fork's stdout: the read ends only when both are gone.
    with fork_python(GRANDCHILD, seconds=1) as child:
        assert b"alive" not in child.stdout.read()
        assert child.is_timed_out
        assert child.process.wait() == -signal.SIGKILL


def test_leaving_ends_the_fork_and_what_it_started() -> None:
    with fork_python(GRANDCHILD) as child:
        grandchild = psutil.Process(int(child.stdout.readline()))
        assert child.process.poll() is None
    assert child.process.returncode == -signal.SIGKILL
    assert_gone(grandchild)


def assert_gone(*processes: psutil.Process) -> None:
    """They end soon; a zombie waits only for whoever is its parent now."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_memory_of_the_group_is_bounded() -> None:
    greedy = "import time; held = bytearray(120_000_000); time.sleep(20)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {greedy!r}])"
    with fork_python(code, limits=replace(LIMITS, memory_bytes=100_000_000)) as child:
        child.stdout.read()
        assert (child.is_over_memory, child.is_timed_out) == (True, False)


def test_many_at_once_are_kept_apart() -> None:
    def square(number: int) -> str:
        return run_fork(f"print({number} ** 2)").out

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(square, range(24))) == [f"{n * n}\n" for n in range(24)]


def test_it_outlives_the_thread_that_started_its_server() -> None:
    stop_servers()
    starter = threading.Thread(target=run_fork, args=("",))
    starter.start()
    starter.join()
    (server,) = servers()
    assert run_fork("import os; print(os.getppid())").out == f"{server.pid}\n"


# Speaks as the server does, and has forks with an id that no system gives.
HIGHEST = """
import os, socket
control = socket.socket(fileno=0)
control.sendall(b"ready\\n")
while (asked := socket.recv_fds(control, 65536, 4))[0]:
    if asked[1]:
        os.write(asked[1][3], b"\\n")
    for file in asked[1]:
        os.close(file)
    control.sendall(b"4194304\\n" if asked[1] else b"-9\\n")
"""


def test_the_longest_ids_are_understood() -> None:
    for _ in range(2):
        with fork_python("", of=["-c", HIGHEST]) as child:
            assert (child.process.pid, child.process.wait()) == (4194304, -9)
    stop_servers()


def servers() -> list[psutil.Process]:
    """The servers of this process."""
    found = []
    for child in psutil.Process().children():
        if any("sandbox.fork_server" in word for word in child.cmdline()):
            found.append(child)
    return found


def test_a_dead_server_takes_its_forks_along_and_is_started_again() -> None:
    with fork_python("import time; print(1, flush=True); time.sleep(20)") as child:
        assert child.stdout.readline() == b"1\n"
        parent = psutil.Process(child.process.pid).parent()
        assert parent in servers()
        parent.kill()
        assert child.stdout.read() == b""
    assert run_fork("print(2)").out == "2\n"


def test_a_server_that_cannot_begin_fails_the_run_and_leaves_nothing() -> None:
    stop_servers()
    before, files = servers(), psutil.Process().num_fds()
    with pytest.raises(ToolMissingError, match=r"ended with 1 .*'no_such_module'") as raised:
        run_fork("", of=program(warm_up="import no_such_module"))
    assert raised.value.exit_code == 2
    assert (servers(), psutil.Process().num_fds()) == (before, files)


def test_nothing_stays_open() -> None:
    run_fork("")
    before, n_servers = psutil.Process().num_fds(), len(servers())
    for _ in range(3):
        run_fork("print(1)")
        with pytest.raises(ValueError), fork_python("import time; time.sleep(20)"):
            raise ValueError
    assert (psutil.Process().num_fds(), len(servers())) == (before, n_servers)
    (server,) = [s for s in servers() if program()[1] in s.cmdline()]
    assert (server.children(), server.num_fds()) == ([], 3)
    stop_servers()
    assert servers() == []


WORKER = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from forked import fork_python
with fork_python("import time; time.sleep(60)") as child:
    print(child.process.pid, flush=True)
    if os.fork() == 0:
        # Another process, which may not ask this one's server.
        with fork_python("import os; print(os.getppid())") as other:
            print(other.stdout.read().decode(), flush=True)
        os._exit(0)
    os.wait()
    sys.stdin.read()
"""


def test_a_killed_worker_takes_server_and_forks_along() -> None:
    arguments = [sys.executable, "-c", WORKER]
    with psutil.Popen(arguments, stdin=-1, stdout=-1, env={**os.environ, "PYTHONPATH": HOME}) as it:
        fork = psutil.Process(int(it.stdout.readline()))
        server = fork.parent()
        assert int(it.stdout.readline()) != server.pid
        it.kill()
        it.wait()
        assert_gone(server, fork)


def test_it_works_from_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in Path(HOME, "trailergenre").glob("**/*.py"):
            file.write(path, path.relative_to(HOME))
    code = program()[1].replace(HOME, str(archive))
    found = run_fork("import sys; print(sys.modules['trailergenre'].__file__)", of=["-c", code])
    assert found.out == f"{archive}/trailergenre/__init__.py\n"
