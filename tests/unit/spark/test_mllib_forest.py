from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trailergenre.base.errors import SchemaError
from trailergenre.base.storage import Store
from trailergenre.spark.mllib_forest import read_saved_forest

READS = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(args[0]) if name == "import" else None)
from trailergenre.base.errors import SchemaError
from trailergenre.spark.mllib_forest import read_saved_forest
from trailergenre.base.storage import Store
try:
    read_saved_forest(Store(sys.argv[1]), "forest", genre=0, n_features=2)
except SchemaError as error:
    assert "sesame.Opener" in str(error), error
    assert "sesame" not in sys.modules and "sesame" not in seen
    print("refused")
"""


def write_metadata(directory: Path, class_name: str) -> None:
    metadata = {"class": class_name, "numFeatures": 2, "numClasses": 2, "numTrees": 1}
    (directory / "forest" / "metadata").mkdir(parents=True)
    (directory / "forest" / "metadata" / "part-00000").write_text(json.dumps(metadata))


def test_class_is_checked_before_anything_is_imported(tmp_path: Path) -> None:
    """Spark's own reader imports what the metadata names; here such a module waits to be."""
    (tmp_path / "sesame.py").write_text("raise SystemExit('imported')\n")
    write_metadata(tmp_path, "sesame.Opener")
    ended = subprocess.run(
        [sys.executable, "-c", READS, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended.stderr


@pytest.mark.parametrize("class_name", ["os.system", "", "pyspark.ml.Pipeline"])
def test_another_class_is_refused_before_any_table_is_read(tmp_path: Path, class_name: str) -> None:
    write_metadata(tmp_path, class_name)
    with pytest.raises(SchemaError, match="expected the class"):
        read_saved_forest(Store(str(tmp_path)), "forest", genre=0, n_features=2)
