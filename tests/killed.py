"""Runs that are killed and resumed: the list, the server, the drivers, and what must hold after."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest
from _pytest.mark import ParameterSet

from clips import make_clip
from jvms import EXECUTORS
from lists import write_links
from servers import Answer, AnswerServer, answer, status
from submits import REPOSITORY, Ended, command, environment
from trailergenre.base.fault_injection import MARKER_FILE, VARIABLE, Point, Victim
from trailergenre.base.records import Link
from trailergenre.base.storage import Store
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.runs.outcomes_table import read_outcomes
from trailergenre.runs.verify.verify import verify_run

MASTERS = {
    Victim.WORKER: "local[2,4]",
    Victim.EXECUTOR: "local-cluster[2,1,1024]",
    Victim.DRIVER: "local[2,4]",
}
"""`local[2]` alone never tries a task again."""
GONE_WITHIN_S = 10.0
"""Bounds a hang: children go at once, unless the machine is busy."""


def task_kills(points: Sequence[Point]) -> list[ParameterSet]:
    """Victim, and the points at which one task is killed: three, as many as Spark tries again.

    The worker is killed at every point, and in the soak the executor, too.
    """
    threes = [tuple(points[start : start + 3]) for start in range(0, len(points), 3)]
    return [
        *(pytest.param(Victim.WORKER, three) for three in threes),
        *(pytest.param(Victim.EXECUTOR, three, marks=pytest.mark.soak) for three in threes),
    ]


def faults(victim: Victim, points: Sequence[Point]) -> str:
    """Kills in a row: the first attempt at the first point, and so on."""
    return " ".join(f"{point}:{victim}:{attempt}" for attempt, point in enumerate(points))


def in_halves(body: bytes) -> Answer:
    """Answer with a body whose second half comes late, so that a kill can hit the middle."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "video/mp4")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        middle = len(body) // 2
        try:
            request.wfile.write(body[:middle])
            request.wfile.flush()
            time.sleep(0.3)
            request.wfile.write(body[middle:])
        except ConnectionError:
            pass  # a downloader that only looks at the head, or a killed one

    return run


@contextmanager
def clip_server(directory: Path, *, n_clips: int) -> Iterator[AnswerServer]:
    """Serve made clips of 2 s as /0.mp4, /1.mp4 ..., each another picture; none.mp4 is none."""
    answers: dict[str, Answer] = {"/none.mp4": status(404)}
    for number in range(n_clips):
        path = directory / f"{number}.mp4"
        source = f"gradients=s=128x128:r=4:seed={number}:d=2"
        make_clip(path, source, "-preset", "ultrafast", "-g", "4")
        answers[f"/{number}.mp4"] = in_halves(path.read_bytes())
    with answer(answers) as server:
        yield server


class Driver:
    """A process that runs a job whenever it is asked, in one JVM."""

    def __init__(self, master: str, temporary: Path) -> None:
        """Start it; `temporary` is its directory for scratch."""
        self._log = temporary / f"{master}.log"  # two on one file write over each other
        conf = REPOSITORY / "conf" / "spark-local.conf"
        options = f"--properties-file {conf} --master {master}"
        # Without a cluster manager, which makes one, executors need the secret that they share.
        properties = (EXECUTORS, "spark.authenticate.secret=tests")
        options += "".join(f" --conf {shlex.quote(each)}" for each in properties) + " pyspark-shell"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("driver.py"))],
            env=environment()
            | {
                "PYSPARK_SUBMIT_ARGS": options,
                "PYTHONPATH": str(REPOSITORY / "tests"),
                "TMPDIR": str(temporary),
            },
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("wb"),
            text=True,
        )

    def featurize(self, arguments: Sequence[str], fault: str = "") -> Ended:
        """Run `featurize` to its end."""
        return self.run("featurize", arguments, fault)

    def run(
        self,
        job: str,
        arguments: Sequence[str],
        fault: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a job to its end; `env` is added to its environment."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        before = len(self._log.read_text())
        request = {
            "job": job,
            "arguments": list(arguments),
            "fault": fault,
            "environment": dict(env or {}),
        }
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(json.loads(self._process.stdout.readline())["code"])
        return Ended(code, self._log.read_text()[before:])

    def python_workers(self) -> list[psutil.Process]:
        """Spark's Python workers; each was forked by Spark's daemon."""
        return [
            process
            for process in psutil.Process(self._process.pid).children(recursive=True)
            if "pyspark.daemon" in process.parent().cmdline()
        ]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


class Drivers:
    """One driver a master, started when it is first asked for."""

    def __init__(self, temporary: Path) -> None:
        """`temporary` is the drivers' directory for scratch."""
        self._temporary = temporary
        self._started: dict[str, Driver] = {}

    def on(self, master: str) -> Driver:
        """The driver of a master."""
        if master not in self._started:
            self._started[master] = Driver(master, self._temporary)
        return self._started[master]

    def close(self) -> None:
        """End them all."""
        for driver in self._started.values():
            driver.close()


@dataclass
class Case:
    """One run of a made list.

    Attributes:
        store: the run.
        links: its links, in the order of the list.
        arguments: of the job.
        server: that the links lead to.
    """

    store: Store
    links: list[Link]
    arguments: list[str]
    server: AnswerServer

    def requests(self) -> dict[str, int]:
        """Requests so far, by link."""
        paths = {link.link_id: "/" + link.url.rpartition("/")[2] for link in self.links}
        return {link_id: self.server.requested.get(path, 0) for link_id, path in paths.items()}

    @contextmanager
    def last_one_held(self) -> Iterator[None]:
        """Keep the run from its end: the server answers for the last link after this block."""
        path = "/" + self.links[-1].url.rpartition("/")[2]
        usual, go_on = self.server.answers[path], threading.Event()

        def hold(request: BaseHTTPRequestHandler, seen: int) -> None:
            go_on.wait(120)
            usual(request, seen)

        self.server.answers[path] = hold
        try:
            yield
        finally:
            go_on.set()
            self.server.answers[path] = usual

    def committed(self) -> set[str]:
        """Links whose outcome is committed."""
        if not self.store.list_files("outcomes"):
            return set()
        outcomes = read_outcomes(self.store, choose_fingerprint(self.store, None))
        return set(outcomes["link_id"].to_pylist())


def make_case(server: AnswerServer, backbone: Path, run: Path, *, seed: int = 0) -> Case:
    """Make a list of the server's links; the seed gives their number and order."""
    chance = random.Random(seed)
    paths = [path for path in server.answers if path != "/none.mp4"]
    n_links = 3 if seed == 0 else chance.randint(4, len(paths))
    chosen = [*chance.sample(paths, n_links - 1), "/none.mp4"]
    chance.shuffle(chosen)
    # The first chunk is the one that is hit, and must come by every point.
    chosen.insert(0, next(path for path in paths if path not in chosen))
    store = Store(str(run))
    links = write_links(store, [f"http://{server.address}{path}" for path in chosen])
    settings = [f"backbone.path={backbone}", f'network.allow=["{server.address}"]']
    arguments = [str(run), *(word for setting in settings for word in ("--set", setting))]
    return Case(store, links, arguments, server)


def submit_and_be_killed(
    job: str,
    arguments: Sequence[str],
    fault: str,
    temporary: Path,
    conf: Sequence[str] = (f"spark.master={MASTERS[Victim.DRIVER]}",),
) -> None:
    """Run a job by spark-submit with a fault for the driver; it must not outlive it.

    It runs in another time zone, locale and directory than all other jobs, which must not matter.
    """
    log4j = "spark.driver.extraJavaOptions=-Dnothing=1"  # its file has a relative path
    elsewhere = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0"}
    with (temporary / "submit.log").open("wb") as log:
        process = subprocess.Popen(
            command(job, *arguments, conf=[*conf, log4j]),
            env=environment() | elsewhere | {VARIABLE: fault, "TMPDIR": str(temporary)},
            cwd=temporary,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        code = process.wait(240)
    assert code == -signal.SIGKILL, (temporary / "submit.log").read_text()


def assert_was_hit(victim: Victim, points: Sequence[Point], temporary: Path) -> None:
    """The faults did happen; takes their marks away."""
    mark = temporary / MARKER_FILE
    hit = mark.read_text().split()
    assert hit == [f"{point}:{victim}" for point in points], hit
    mark.unlink()


def assert_nothing_is_left(temporary: Path) -> None:
    """No scratch, and soon no child that worked in it."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (alive := live_children(temporary)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive == []
    assert list(temporary.glob("trailergenre-*")) == []


def live_children(temporary: Path) -> list[str]:
    """Programs that have something of this directory in hand; zombies are gone."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            # A fork keeps its server's words and environment, but works in its own directory.
            words = [*process.cmdline(), process.environ().get("HOME", ""), process.cwd()]
        except psutil.Error:
            continue
        if any(f"{temporary}/trailergenre-" in word for word in words):
            found.append(" ".join(words)[:300])
    return found


def content_hash(case: Case) -> str:
    """Of the reached features, whatever files hold them; all invariants hold."""
    report = verify_run(case.store, choose_fingerprint(case.store, None))
    assert report.holds, report.lines()
    assert report.content_hash is not None
    return report.content_hash


def features_hash(store: Store) -> str:
    """The same of a run beside which others may have scratch."""
    report = verify_run(store, choose_fingerprint(store, None))
    wrong = [check for check in report.checks if not check.holds and "scratch" not in check.name]
    assert [check.lines() for check in wrong] == []
    assert len(report.settings) > 0
    assert report.content_hash is not None
    return report.content_hash
