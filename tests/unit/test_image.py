"""conf/Dockerfile's own scripts: what the image installs, and what it starts in a pod."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from submits import REPOSITORY


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A directory with a tini that prints the words of the command in its place."""
    tini = tmp_path / "tini"
    tini.write_text('#!/bin/bash\nprintf "%s\\n" "${@:3}"\n')
    tini.chmod(0o755)
    return tmp_path


def start(started: Path, *words: str, **variables: str) -> list[str]:
    """The words of the command that a pod would run."""
    env = {"PATH": f"{started}:{os.environ['PATH']}", "SPARK_HOME": "/spark", **variables}
    command = [str(REPOSITORY / "conf" / "entrypoint.sh"), *words]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_a_driver_submits_what_it_is_given(started: Path) -> None:
    words = start(started, "driver", "--class", "a b", SPARK_DRIVER_BIND_ADDRESS="10.0.0.1")
    assert words[:3] == ["/spark/bin/spark-submit", "--deploy-mode", "client"]
    assert "spark.driver.bindAddress=10.0.0.1" in words
    assert words[-2:] == ["--class", "a b"]


def test_an_executor_gets_all_options_of_java_and_its_own(started: Path) -> None:
    numbered = {f"SPARK_JAVA_OPT_{number}": f"-Dkey={number} x" for number in range(11)}
    given = {"DRIVER_URL": "u", "EXECUTOR_ID": "7", "EXECUTOR_CORES": "4", "APPLICATION_ID": "app"}
    given |= {"EXECUTOR_POD_IP": "10.0.0.2", "RESOURCE_PROFILE_ID": "0", "EXECUTOR_POD_NAME": "p"}
    variables = {f"SPARK_{name}": value for name, value in given.items()}
    words = start(
        started,
        "executor",
        SPARK_EXECUTOR_MEMORY="2g",
        SPARK_CONF_DIR="/opt/spark/conf",
        **numbered,
        **variables,
    )
    assert words[:12] == ["java", *numbered.values()]
    assert words[12:16] == ["-Xms2g", "-Xmx2g", "-cp", "/opt/spark/conf:/spark/jars/*"]
    names = ("driver-url", "executor-id", "cores", "app-id", "hostname")
    options = [*names, "resourceProfileId", "podName"]
    pairs = zip(options, given.values(), strict=True)
    assert words[17:] == [word for name, value in pairs for word in (f"--{name}", value)]


def test_anything_else_is_a_command(started: Path) -> None:
    assert start(started, "trailergenre", "score", "a b.mp4") == [
        *("trailergenre", "score", "a b.mp4")
    ]


def test_everything_that_the_image_installs_is_locked() -> None:
    script = REPOSITORY / "conf" / "image_requirements.py"
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    wanted = {re.split(r"[\[<>=]", line)[0].lower() for line in ended.stdout.splitlines()}
    lock = (REPOSITORY / "requirements-dev.lock").read_text()
    assert {"pyspark", "pymongo", "openvino", "yt-dlp"} <= wanted
    assert "tensorflow" not in wanted
    assert wanted - set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)) == set()
