"""spark-submit as a user types it, and a standalone cluster on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyspark

from jvms import EXECUTORS
from trailergenre.base.storage import Store

REPOSITORY = Path(__file__).resolve().parent.parent
SPARK_HOME = Path(pyspark.__file__).parent


@dataclass(frozen=True)
class Ended:
    """How a job ended; spark-submit passes the job's stderr on as stdout."""

    code: int
    output: str

    @property
    def summary(self) -> dict[str, Any]:
        """The job's one summary line."""
        assert self.code == 0, self.output
        # stderr, with the command to be run next, may come after it.
        lines = [line for line in self.output.splitlines() if line.startswith('{"stage"')]
        return dict(json.loads(lines[-1]))


def command(
    job: str,
    *arguments: str,
    master: str | None = None,
    conf: Sequence[str] = (),
    python: str = sys.executable,
) -> list[str]:
    """The command line of a job; `conf` holds Spark properties, key=value.

    A cluster's workers run `python`, so that not every test packs and unpacks an environment.
    """
    submit = Path(sys.executable).with_name("spark-submit")
    name = "local" if master is None else "standalone"
    properties = REPOSITORY / "conf" / f"spark-{name}.conf"
    options = [] if master is None else ["--master", master]
    if master is not None:
        theirs = ("spark.pyspark.python", "spark.pyspark.driver.python")
        conf = [
            "spark.submit.pyFiles=",
            "spark.archives=",
            EXECUTORS,
            *(f"{k}={python}" for k in theirs),
            *conf,
        ]
    options += [word for pair in conf for word in ("--conf", pair)]
    script = REPOSITORY / "jobs" / f"{job}.py"
    return [str(submit), "--properties-file", str(properties), *options, str(script), *arguments]


def arguments(run: Path | Store, *settings: str) -> list[str]:
    """A run and its settings, as every job takes them."""
    return [str(run), *(word for setting in settings for word in ("--set", setting))]


def environment() -> dict[str, str]:
    """The environment of a job; find-spark-home starts this interpreter."""
    return {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}


def package_zip(directory: Path) -> Path:
    """The package as `make zip` ships it."""
    base = directory / "trailergenre"
    return Path(
        shutil.make_archive(str(base), "zip", root_dir=REPOSITORY / "lib", base_dir="trailergenre")
    )


def load_job(job: str) -> ModuleType:
    """Import a job's script; for what needs no process of its own."""
    return load_script(REPOSITORY / "jobs" / f"{job}.py")


def load_script(path: Path) -> ModuleType:
    """Import a script of the repository."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def submit(
    job: str,
    *arguments: str,
    master: str | None = None,
    conf: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run a job to its end; `env` is added to its environment."""
    environ = environment() | dict(env or {})
    done = subprocess.run(
        command(job, *arguments, master=master, conf=conf, python=environ["PYSPARK_PYTHON"]),
        cwd=REPOSITORY,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def finish(
    job: str,
    *arguments: str,
    master: str | None = None,
    conf: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a job that must end well; gives its summary."""
    return submit(job, *arguments, master=master, conf=conf, env=env).summary


@contextmanager
def standalone_cluster(
    directory: Path, *, workers: int = 2, cores: int = 1, gpus: bool = False, apart: bool = False
) -> Iterator[str]:
    """Run a standalone master and workers; yields the master's address.

    Args:
        directory: for their logs and work.
        workers: how many.
        cores: of each worker.
        gpus: whether worker N says that it has a GPU of address N.
        apart: whether each is another host to Spark, which runs no twin beside the first.
    """
    port, page = _free_port(), _free_port()
    with ExitStack() as stack:
        master = ["master.Master", "--host", "127.0.0.1", "--port", str(port)]
        stack.enter_context(_daemon([*master, "--webui-port", str(page)], directory / "master"))
        for number in range(workers):
            work = directory / f"worker-{number}"
            host = f"127.0.0.{number + 1}" if apart else "127.0.0.1"
            worker = ["worker.Worker", "--host", host, "--cores", str(cores)]
            worker += ["--memory", "4g"]
            worker += ["--work-dir", str(work), "--webui-port", str(_free_port())]
            env = _gpu_environment(work, number) if gpus else {}
            stack.enter_context(_daemon([*worker, f"spark://127.0.0.1:{port}"], work, env))
        _wait_for_workers(page, workers)
        yield f"spark://127.0.0.1:{port}"


def _gpu_environment(directory: Path, address: int) -> dict[str, str]:
    """What makes a standalone worker offer one GPU, which need not exist."""
    directory.mkdir(parents=True)
    script = directory / "discover"
    script.write_text(
        f"#!/bin/sh\necho '{json.dumps({'name': 'gpu', 'addresses': [str(address)]})}'\n"
    )
    script.chmod(0o700)
    options = {"amount": "1", "discoveryScript": str(script)}
    pairs = (f"-Dspark.worker.resource.gpu.{name}={value}" for name, value in options.items())
    return {"SPARK_WORKER_OPTS": " ".join(pairs)}


@contextmanager
def _daemon(
    arguments: list[str], directory: Path, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    spark_class = SPARK_HOME / "bin" / "spark-class"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(spark_class), f"org.apache.spark.deploy.{arguments[0]}", *arguments[1:]],
            env={**environment(), "SPARK_HOME": str(SPARK_HOME), **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def _wait_for_workers(page: int, workers: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
                if json.load(answer)["aliveworkers"] == workers:
                    return
        except OSError:
            pass  # not up yet
        time.sleep(0.5)
    raise TimeoutError(f"{workers} workers did not register")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
