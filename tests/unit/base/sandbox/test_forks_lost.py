"""Forks that a machine does not give or keep: told apart from those that ended by themselves."""

from __future__ import annotations

import psutil
import pytest

from forked import fork_python, program, run_fork
from trailergenre.base.sandbox import fork_client
from trailergenre.base.sandbox.fork_client import SERVER_GONE, ForkError, stop_servers

# The second call has no room; memory and processes come and go.
NO_ROOM = """
import errno, os
real, calls = os.fork, []
def fork():
    calls.append(1)
    if len(calls) == 2:
        raise BlockingIOError(errno.EAGAIN, "no room")
    return real()
os.fork = fork
"""


def test_a_fork_that_failed_is_said_and_costs_no_other() -> None:
    of = program(warm_up=NO_ROOM)
    with fork_python("import sys; sys.stdin.read(); print('alive')", of=of) as first:
        with pytest.raises(ForkError, match="Resource temporarily unavailable"):
            run_fork("", of=of)
        assert run_fork("print('next')", of=of).out == "next\n"
        assert first.stdout.read() == b"alive\n"
        assert first.process.wait() == 0


def test_a_fork_that_ended_with_its_server_is_no_fork_that_was_killed() -> None:
    with fork_python("import time; print(1, flush=True); time.sleep(20)") as child:
        child.stdout.readline()
        parent = psutil.Process(child.process.pid).parent()
        assert parent is not None
        parent.kill()
        assert child.stdout.read() == b""
        assert child.process.wait() == SERVER_GONE
    with fork_python("import os; os.kill(os.getpid(), 9)") as child:
        assert child.process.wait() == -9


@pytest.mark.parametrize("error", ["KeyError(1)", "OSError('x')", "RecursionError()"])
def test_a_warm_up_that_fails_ends_the_warm_up_alone(error: str) -> None:
    steps = f"""
def steps():
    yield
    sys.was_warm = True
    raise {error}
"""
    code = program(warm_up=steps, run="print(bool(sys.stdin.read()), hasattr(sys, 'was_warm'))")[1]
    of = ["-c", code.replace("iter(())", "steps()")]
    run_fork("", of=of)
    assert run_fork("", of=of).out == "True True\n"
    stop_servers()


# Speaks as the server does, and has forks that hang before they begin.
HANGS = """
import os, socket
control = socket.socket(fileno=0)
control.sendall(b"ready\\n")
while (asked := socket.recv_fds(control, 65536, 4))[0]:
    control.sendall(b"4194304\\n" if asked[1] else b"-9\\n")
"""


def test_a_fork_that_does_not_begin_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fork_client, "_BEGIN_S", 0.2)
    files = psutil.Process().num_fds()
    with pytest.raises(ForkError, match="had not begun"), fork_python("", of=["-c", HANGS]):
        pass
    stop_servers()
    assert psutil.Process().num_fds() <= files


def test_a_fork_that_hangs_before_it_leads_a_group_is_ended() -> None:
    # `setsid` hangs: what is killed then is no group yet.
    code = program(warm_up="import os, time; os.setsid = lambda: time.sleep(60)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_client, "_BEGIN_S", 0.3)
        with pytest.raises(ForkError), fork_python("", of=code):
            pass
    servers = [child for child in psutil.Process().children() if code[1] in child.cmdline()]
    assert [server.children() for server in servers] == [[]]
    stop_servers()
