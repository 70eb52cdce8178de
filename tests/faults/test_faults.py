"""Faults besides the kills of test_kill_and_resume; their numbers stand in docs/security.md."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from killed import (
    Case,
    Driver,
    assert_nothing_is_left,
    assert_was_hit,
    content_hash,
    make_case,
)
from lists import write_links
from servers import AnswerServer
from submits import REPOSITORY, command, environment
from trailergenre.base.fault_injection import Point, Victim
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.runs.lease import LEASE_FILE
from trailergenre.runs.verify.verify import verify_run

pytestmark = pytest.mark.slow

MASTER = "local[2,4]"


@pytest.fixture(scope="module")
def whole(
    server: AnswerServer,
    tiny_backbone: Path,
    driver: Driver,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The hash of an uninterrupted run."""
    case = make_case(server, tiny_backbone, tmp_path_factory.mktemp("whole"))
    assert driver.featurize(case.arguments).code == 0
    return content_hash(case)


@pytest.fixture
def case(server: AnswerServer, tiny_backbone: Path, tmp_path: Path) -> Case:
    """A run that has not begun."""
    server.requests.clear()
    return make_case(server, tiny_backbone, tmp_path / "run")


def start(case: Case, temporary: Path, *conf: str) -> subprocess.Popen[str]:
    """Start the job by spark-submit in a process group of its own, as a shell does."""
    return subprocess.Popen(
        command("featurize", *case.arguments, conf=[f"spark.master={MASTER}", *conf]),
        env=environment() | {"TMPDIR": str(temporary)},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(is_true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not is_true() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    assert is_true()


def test_f4_f5_a_second_run_on_the_output_is_refused_and_a_terminated_one_goes_on_later(
    case: Case, driver: Driver, whole: str, temporary: Path
) -> None:
    with case.last_one_held():
        process = start(case, temporary)
        wait_until(case.committed, process)
        before = set(case.store.list_files(""))
        assert driver.featurize(case.arguments).code == 3
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert before <= set(case.store.list_files(""))
    # The JVM ends at once; the job's own process may take a moment longer.
    deadline = time.monotonic() + 60
    while case.store.exists(LEASE_FILE) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert driver.featurize(case.arguments).code == 0
    assert content_hash(case) == whole
    assert_nothing_is_left(temporary)


def test_f7_a_task_that_always_fails_is_named_and_the_rest_is_kept(
    case: Case, driver: Driver, whole: str, temporary: Path
) -> None:
    ended = driver.featurize(case.arguments, "P1:worker:0,1,2,3")
    assert ended.code == 2
    lines = ended.output.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert "Python worker exited unexpectedly" in error
    assert not any("Traceback" in line for line in lines)
    kept = case.committed()
    # Four links on two slots are chunks of one.
    assert case.links[0].link_id not in kept
    assert driver.featurize(case.arguments).code == 0
    assert kept <= case.committed()
    assert content_hash(case) == whole
    assert_was_hit(Victim.WORKER, [Point.PLANNED] * 4, temporary)
    assert_nothing_is_left(temporary)


@pytest.mark.soak  # as a worker that is killed
def test_f8_a_segmentation_fault_is_survived(
    case: Case, whole: str, driver: Driver, temporary: Path
) -> None:
    with ThreadPoolExecutor(max_workers=1) as executor:
        running = executor.submit(driver.featurize, case.arguments)
        while not case.server.requested:
            assert not running.done()
            time.sleep(0.02)
        workers = driver.python_workers()
        assert workers
        workers[0].send_signal(signal.SIGSEGV)
        assert running.result().code == 0
    assert content_hash(case) == whole
    assert_nothing_is_left(temporary)


def test_f12_a_full_disk_leaves_no_cut_file(tmp_path: Path) -> None:
    script = (
        "import sys; from trailergenre.base.storage import Store\n"
        "from trailergenre.base.errors import StorageError\n"
        "store = Store(sys.argv[1])\n"
        "store.write_bytes('small', b'x' * 1000)\n"
        "try: store.write_bytes('large', b'x' * 4_000_000)\n"
        "except StorageError as error: print(error)\n"
        "print(sorted(p.name for p in store.local_path('').iterdir()))\n"
    )
    mount = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    words = ["sh", "-c", mount, "sh", str(tmp_path), sys.executable, script]
    done = subprocess.run(["unshare", "-rm", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message, names = done.stdout.splitlines()
    assert "large" in message
    assert "No space left on device" in message
    assert names == "['small']"


def test_f25_a_list_that_changed_is_resumed_by_link(
    case: Case, driver: Driver, whole: str, temporary: Path
) -> None:
    urls = [link.url for link in case.links]
    write_links(case.store, [urls[2], urls[0]])
    assert driver.featurize(case.arguments).code == 0
    case.server.requests.clear()
    # Rows removed, added and in another order.
    write_links(case.store, [urls[3], urls[0], urls[1]])
    assert driver.featurize(case.arguments).code == 0
    asked = {link for link, times in case.requests().items() if times}
    assert asked == {case.links[place].link_id for place in (1, 3)}
    report = verify_run(case.store, choose_fingerprint(case.store, None))
    assert report.links == 3
    assert [note for check in report.checks for note in check.notes] == [
        "1 outcomes belong to links of an earlier list"
    ]
    write_links(case.store, urls)
    case.server.requests.clear()
    assert driver.featurize(case.arguments).code == 0
    assert case.server.requested == {}
    assert content_hash(case) == whole
    assert_nothing_is_left(temporary)
