"""What another user can read of a running local job, and what it leaves: nothing secret."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lists import write_links
from other_user import as_another_user, needs_another_user
from spark_blocks import read_block
from submits import REPOSITORY, Ended, arguments, command, environment, submit
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table
from trailergenre.runs.fingerprint import choose_fingerprint

pytestmark = pytest.mark.slow

OPEN = ["spark.authenticate=false", "spark.io.encryption.enabled=false"]
"""Other properties than those of conf/, which must not matter."""
SECRET, LINK = "canary-9f2", "canary-link"
KEY = "canary-5c1"
"""Of storage, typed into a property: everybody sees it, but no log keeps it."""
COOKIES = (
    "# Netscape HTTP Cookie File\n"
    f".youtube.com\tTRUE\t/\tFALSE\t4000000000\tsession\t{SECRET}-cookie\n"
)


@dataclass(frozen=True)
class Running:
    """A job in the middle of a download; `temporary` is its TMPDIR, which everybody may enter."""

    processes: list[psutil.Process]
    temporary: Path
    run: Path
    events: Path
    submitted: subprocess.Popen[bytes]
    log: Path
    downloads: contextlib.ExitStack

    def ports(self) -> list[int]:
        """The ports on which its processes listen."""
        connections = [c for process in self.processes for c in process.net_connections()]
        return sorted({c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN})

    def finish(self) -> Ended:
        """End the downloads, and with them the job."""
        self.downloads.close()
        return Ended(self.submitted.wait(120), self.log.read_text())


@pytest.fixture(scope="module")
def job(tiny_backbone: Path) -> Iterator[Running]:
    """A real job by spark-submit, whose proxy accepts a connection and then says nothing."""
    # pytest's own directories are closed to others.
    root = Path(tempfile.mkdtemp(prefix="other-user-"))
    root.chmod(0o755)
    temporary, run, cookies = root / "tmp", root / "run", root / "cookies.txt"
    temporary.mkdir()
    temporary.chmod(0o1777)
    cookies.touch(0o600)
    cookies.write_text(COOKIES)
    write_links(
        Store(str(run)), [f"http://{LINK}.example/x.mp4", "https://youtube.com/watch?v=aqz-KE-bpKQ"]
    )
    settings = (
        f"backbone.path={tiny_backbone}",
        f"network.cookie_file={cookies}",
        "network.proxy_variable=MY_PROXY",
        "limits.attempts=1",
    )
    events = root / "events"
    conf = [
        *OPEN,
        "spark.eventLog.compress=false",
        # Also in the command line, which Spark logs as sun.java.command.
        f"spark.trailergenre.place=s3://key:{KEY}@bucket/run",
        # conf/ turns it on, and the run makes the directory.
        f"spark.eventLog.dir={events.as_uri()}",
    ]
    with (root / "log").open("wb") as log, contextlib.ExitStack() as downloads:
        proxy = downloads.enter_context(socket.create_server(("127.0.0.1", 0)))
        proxy.settimeout(180)
        secrets = {
            "MY_PROXY": f"http://me:{SECRET}@127.0.0.1:{proxy.getsockname()[1]}",
            "TRAILERGENRE_MONGO_URI": f"mongodb://me:{SECRET}@127.0.0.1:1",
        }
        submitted = subprocess.Popen(
            command("featurize", *arguments(run, *settings), conf=conf),
            cwd=REPOSITORY,
            env=environment() | secrets | {"TMPDIR": str(temporary)},
            stdout=log,
            stderr=subprocess.STDOUT,
            umask=0o022,
        )
        jvm = psutil.Process(submitted.pid)
        try:
            downloads.enter_context(proxy.accept()[0])
            processes = [jvm, *jvm.children(recursive=True)]
            alive = [each for each in processes if each.status() != psutil.STATUS_ZOMBIE]
            yield Running(alive, temporary, run, events, submitted, root / "log", downloads)
        finally:
            left = [jvm, *jvm.children(recursive=True)] if jvm.is_running() else []
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            submitted.wait(60)
    shutil.rmtree(root)


def search(what: str, content: bytes, *canaries: str) -> list[str]:
    return [f"{canary} in {what}" for canary in canaries if canary.encode() in content]


def files_below(root: Path) -> list[Path]:
    """Those that this user may see."""
    found = [Path(at, name) for at, _, names in os.walk(root) for name in names]
    return [path for path in found if path.is_file()]


@needs_another_user
def test_another_user_reads_neither_environment_nor_memory_nor_open_files(job: Running) -> None:
    assert SECRET in str([process.environ() for process in job.processes])

    def read() -> list[str]:
        found = []
        for process in job.processes:
            for path in Path(f"/proc/{process.pid}").glob("*"):
                with contextlib.suppress(OSError):
                    if path.is_file() and path.name != "kmsg":
                        found += search(str(path), path.read_bytes(), SECRET, LINK)
            with contextlib.suppress(OSError):
                found += [str(file) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
        return found

    assert as_another_user(read) == []


@needs_another_user
def test_another_user_gets_nothing_from_a_port(job: Running) -> None:
    ports = job.ports()
    assert len(ports) >= 3  # Spark's driver and block manager, and py4j

    def read() -> list[str]:
        found = []
        for port in ports:
            for name in ("broadcast_0_piece0", "broadcast_1_piece0"):
                with contextlib.suppress(OSError):
                    if read_block(port, name, 1) is not None:
                        found.append(f"{name} from port {port}")
            with contextlib.suppress(OSError):
                found += search(f"port {port}", said_at(port), SECRET, LINK)
        return found

    assert as_another_user(read) == []


def said_at(port: int) -> bytes:
    """What a port says to one who knows no password: a web page, py4j's answer, an error."""
    with socket.create_connection(("127.0.0.1", port), 1) as line:
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return line.recv(1 << 20)


@needs_another_user
def test_another_user_finds_nothing_in_the_files_of_a_job(job: Running) -> None:
    assert list(job.temporary.glob("trailergenre-*"))

    def read() -> list[str]:
        found = []
        for path in files_below(job.temporary):
            with contextlib.suppress(OSError):
                found += search(str(path), path.read_bytes(), SECRET, LINK)
        for path in files_below(job.run):  # open to all by the umask; holds links, but no secret
            with contextlib.suppress(OSError):
                found += search(str(path), path.read_bytes(), SECRET)
        for directory in job.temporary.glob("trailergenre-*"):
            with contextlib.suppress(OSError):
                found += [str(path) for path in directory.iterdir()]
        return found

    assert as_another_user(read) == []


def test_neither_tables_nor_output_nor_the_event_log_hold_a_secret(job: Running) -> None:
    ended = job.finish()
    assert ended.code == 4, ended.output
    assert (SECRET in ended.output, KEY in ended.output) == (False, False)
    store = Store(str(job.run))
    rows = outcomes_table.read_outcomes(store, choose_fingerprint(store, None)).to_pylist()
    # Of one the connection broke; the proxy did not take the other's any more.
    assert "deferred" in [row["outcome"] for row in rows]
    assert any("proxy" in row["detail"] for row in rows)
    logged = b"".join(path.read_bytes() for path in files_below(job.events))
    assert b"SparkListenerTaskEnd" in logged
    assert b'"sun.java.command":"*********(redacted)"' in logged
    for path in [*files_below(job.run), *files_below(job.events)]:
        # Parquet is compressed.
        text = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        assert SECRET not in text
        assert search(str(path), path.read_bytes(), SECRET, KEY) == []


def test_a_session_without_authentication_gives_everybody_what_it_sends(
    spark: SparkSession,
) -> None:
    """The tests above ask a port in the right way."""
    context = spark.sparkContext
    broadcast = context.broadcast(SECRET)
    block = f"broadcast_{broadcast._jbroadcast.id()}_piece0"  # type: ignore[union-attr]
    manager = context._jsc.sc().getExecutorMemoryStatus().keySet().head()
    received = read_block(int(manager.rpartition(":")[2]), block)
    assert received is not None
    assert SECRET.encode() in received


ON_DISK = """
import sys
from pathlib import Path
from pyspark import StorageLevel
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.spark.session import spark_session
run, disk = sys.argv[1:]
with spark_session("probe", Store(run)) as spark:
    rows = spark.sparkContext.parallelize(["canary-link"], 1).persist(StorageLevel.DISK_ONLY)
    pairs = rows.map(lambda row: (row, 1)).groupByKey()
    assert (rows.count(), pairs.count()) == (1, 1)
    for path in Path(disk).rglob("blockmgr-*/*/*"):
        print(path.name, b"canary" in path.read_bytes())
"""


def test_what_spark_leaves_on_the_disk_is_encrypted(tmp_path: Path) -> None:
    """Its directories are open to all, whatever the umask of the job that is submitted."""
    (tmp_path / "probe.py").write_text(ON_DISK)
    conf = [*OPEN, f"spark.local.dir={tmp_path}/disk", "spark.shuffle.compress=false"]
    ended = submit(str(tmp_path / "probe"), str(tmp_path / "run"), f"{tmp_path}/disk", conf=conf)
    assert ended.code == 0, ended.output
    assert "rdd_0_0 False" in ended.output
    assert ".data False" in ended.output
    assert "True" not in ended.output
