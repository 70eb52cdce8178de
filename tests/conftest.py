"""What all tests share: the real data, one Spark session, and the rule about skipped tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import jvms
from backbones import export_tiny

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from killed import Driver, Drivers

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ["TRAILERGENRE_CONFIG"] = ""  # no settings of the developer's own
for _name in jvms.ENVIRONMENT:
    os.environ.setdefault(_name, jvms.LIGHT)


class FilesInOneProcess(LoadScopeScheduling):
    """Keeps a file's tests in one test process, and all that share the Spark session."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/spark" if file.startswith("tests/spark/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesInOneProcess:
    """Schedule by file, whatever `--dist` says."""
    return FilesInOneProcess(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data: `TRAILERGENRE_DATA`, else `../shared/data` beside the checkout."""
    data = Path(os.environ.get("TRAILERGENRE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not data.is_dir():
        pytest.skip(f"no real data at {data}; set TRAILERGENRE_DATA")
    return data


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One `local[2]` session for all tests that do not need a session of their own."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    # A command that another test invoked in this process sets it.
    os.environ.pop("PYSPARK_SUBMIT_ARGS", None)
    session = (
        SparkSession.builder.master("local[2]")
        .appName("trailergenre-tests")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "2g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer network with the real one's input and output, seeded."""
    return export_tiny(tmp_path_factory.mktemp("backbone") / "tiny")


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the jobs of `drivers` have their scratch."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="session")
def drivers(temporary: Path) -> Iterator[Drivers]:
    """Processes that run jobs again and again, one a master."""
    from killed import Drivers

    started = Drivers(temporary)
    yield started
    started.close()


@pytest.fixture(scope="session")
def driver(drivers: Drivers) -> Driver:
    """Runs any job on two slots; a failed task is tried four times."""
    return drivers.on("local[2,4]")


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB server on loopback (SecantusDB); each test takes a database of its own."""
    from secantus import SecantusDBServer

    server = SecantusDBServer(port=0, storage_path=str(tmp_path_factory.mktemp("mongo")))
    server.start()
    yield server.uri
    server.stop()


def _skips_not_allowed(config: pytest.Config) -> list[str]:
    """Ids of the skipped tests that `.ci/run` does not list; empty outside CI."""
    if os.environ.get("CI") != "true":
        return []
    allowed = set(os.environ.get("TRAILERGENRE_ALLOWED_SKIPS", "").split())
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return [report.nodeid for report in skipped if report.nodeid not in allowed]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skipped test is a failure: green must mean that everything ran."""
    if _skips_not_allowed(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the skipped tests that made the session fail."""
    names = _skips_not_allowed(config)
    if names:
        terminalreporter.section("skipped, which CI=true does not allow", red=True)
        for name in names:
            terminalreporter.line(f"{name} (list it in .ci/run with a reason, or make it run)")
