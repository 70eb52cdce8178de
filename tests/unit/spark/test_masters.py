from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trailergenre.cli.local_spark import use_spark
from trailergenre.spark.masters import names_cluster, read_master


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "")  # so that it is restored
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


def test_a_command_alone_names_no_cluster() -> None:
    assert not names_cluster()
    use_spark(None, None)
    assert not names_cluster()


@pytest.mark.parametrize("master", ["spark://host:7077", "yarn", "local-cluster[2,1,1024]"])
def test_a_master_or_a_properties_file_names_one(master: str, tmp_path: Path) -> None:
    properties = tmp_path / "my.conf"
    properties.write_text(f"# mine\nspark.ui.enabled false\nspark.master   {master}\n")
    for options in ((master, None), (None, properties), (master, properties)):
        use_spark(*options)
        assert names_cluster(), options
    use_spark("local[2]", properties)
    assert not names_cluster()


@pytest.mark.parametrize(("remote", "is_cluster"), [("sc://host:15002", True), ("local", False)])
def test_spark_connect_names_one(
    remote: str, is_cluster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", remote)
    assert names_cluster() == is_cluster


def test_every_spelling_of_a_property_is_read(tmp_path: Path) -> None:
    for line in ("spark.master yarn", "spark.master=yarn", "spark.master : yarn"):
        (tmp_path / "my.conf").write_text(f"{line}\n")
        assert read_master(["--properties-file", str(tmp_path / "my.conf")]) == "yarn"
    assert read_master(["--conf", "spark.master=yarn", "--conf=spark.ui.enabled=false"]) == "yarn"


def test_to_ask_does_not_import_spark() -> None:
    words = "import sys; from trailergenre.spark.masters import names_cluster as n; n(); "
    code = f"{words}sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
