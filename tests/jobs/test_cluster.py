"""A standalone cluster: a clean shell with the packed environment, and workers without packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import pytest

from clips import make_clip
from lists import write_links
from servers.files import serve
from submits import REPOSITORY, Ended, package_zip, standalone_cluster, submit
from trailergenre.base.errors import ExitCode
from trailergenre.base.storage import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("spark")
    with standalone_cluster(directory, workers=1) as address:
        yield address
    shutil.rmtree(directory)  # 1.3 GB: the archive, and the environment unpacked


def submit_from_a_clean_shell(home: Path, *words: str) -> Ended:
    """What a user types after `source .venv/bin/activate`, with nothing else in the environment."""
    java = Path(shutil.which("java") or "").parent
    path = os.pathsep.join(map(str, (Path(sys.executable).parent, java, "/usr/bin", "/bin")))
    done = subprocess.run(
        ["env", "-i", f"PATH={path}", f"HOME={home}", "spark-submit", *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def test_the_packed_environment_is_all_that_a_worker_needs(
    master: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    clips, home, packed = tmp_path / "clips", tmp_path / "home", tmp_path / "environment.tar.gz"
    clips.mkdir()
    home.mkdir()
    make_clip(clips / "clip.mp4", "testsrc2=s=320x320:r=8:d=1")
    subprocess.run([sys.executable, REPOSITORY / "conf/pack_environment.py", packed], check=True)
    events = tmp_path / "new" / "events"
    conf = {
        "spark.submit.pyFiles": package_zip(tmp_path),
        "spark.archives": f"{packed}#environment",
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.eventLog.dir": events,
    }
    with serve(clips) as server:
        write_links(Store(str(tmp_path / "run")), [f"http://{server.address}/clip.mp4"])
        ended = submit_from_a_clean_shell(
            home,
            *("--properties-file", "conf/spark-standalone.conf", "--master", master),
            *(word for key, value in conf.items() for word in ("--conf", f"{key}={value}")),
            *("jobs/featurize.py", str(tmp_path / "run")),
            *("--set", f"backbone.path={tiny_backbone}"),
            *("--set", f'network.allow=["{server.address}"]'),
        )
    packed.unlink()
    assert ended.summary["by_outcome"] == {"ok": 1}
    assert any(path.is_file() for path in events.rglob("events_*"))
    assert list(home.iterdir()) == []


def lacking_interpreter(directory: Path, *modules: str) -> Path:
    """An interpreter whose environment has everything that is installed here but these modules."""
    venv.create(directory, with_pip=False, symlinks=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and path.name.partition("-")[0] not in modules:
            (packages / path.name).symlink_to(path)
    return directory / "bin" / "python"


def test_workers_that_lack_packages_end_the_run_and_are_named(
    master: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    python = lacking_interpreter(tmp_path / "python", "onnxruntime", "pyarrow", "yt_dlp")
    write_links(Store(str(tmp_path / "run")), ["https://example.org/x.mp4"])
    ended = submit(
        *("featurize", str(tmp_path / "run"), "--set", f"backbone.path={tiny_backbone}"),
        master=master,
        conf=[f"spark.submit.pyFiles={package_zip(tmp_path)}", f"spark.pyspark.python={python}"],
    )
    assert ended.code == ExitCode.USAGE
    where = f"on {gethostname()} ({python})"
    lacking = "; ".join(f"{name} {where}" for name in ("onnxruntime", "pyarrow", "yt-dlp"))
    assert f"error: Workers lack Python packages: {lacking}. Send dist/" in ended.output
    assert "Traceback" not in ended.output
    assert "org.apache.spark" not in ended.output
