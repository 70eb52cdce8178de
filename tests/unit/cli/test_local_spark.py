from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.cli.local_spark import use_spark


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "")  # so that it is restored
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


def arguments() -> list[str]:
    return shlex.split(os.environ["PYSPARK_SUBMIT_ARGS"])


def test_a_command_alone_takes_the_packages_own_properties() -> None:
    use_spark(None, None)
    words = arguments()
    properties = Path(words[words.index("--properties-file") + 1])
    assert "spark.master                                    local[*]" in properties.read_text()
    (log4j,) = (word for word in words if "log4j2" in word)
    assert Path(log4j.partition("file:")[2]).is_file()
    assert words[-1] == "pyspark-shell"


def test_a_master_and_properties_are_passed_on() -> None:
    use_spark("spark://host:7077", Path("conf/mine.conf"))
    assert arguments() == [
        *("--properties-file", "conf/mine.conf", "--master", "spark://host:7077"),
        "pyspark-shell",
    ]


def test_what_the_user_chose_for_pyspark_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master local[3] pyspark-shell")
    use_spark(None, None)
    assert arguments()[1] == "local[3]"


def test_behind_spark_submit_its_own_options_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    use_spark(None, None)
    assert "PYSPARK_SUBMIT_ARGS" not in os.environ
    with pytest.raises(ConfigError, match="options of spark-submit"):
        use_spark("local[2]", None)
