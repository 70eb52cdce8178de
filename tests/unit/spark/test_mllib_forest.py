from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

READS = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(args[0]) if name == "import" else None)
from trailergenre.base.storage import Store
from trailergenre.spark.mllib_forest import read_saved_forest
forest = read_saved_forest(Store(sys.argv[1]), "forest", genre=0, n_features=2)
assert "sesame" not in sys.modules and "sesame" not in seen
print(forest.value.tolist())
"""


def write_forest(directory: Path, class_name: str) -> None:
    """One tree of one leaf, as MLlib saves it."""
    (directory / "metadata").mkdir(parents=True)
    metadata = {"class": class_name, "numFeatures": 2, "numClasses": 2, "numTrees": 1}
    (directory / "metadata" / "part-00000").write_text(json.dumps(metadata))
    leaf = {
        "id": 0,
        "impurityStats": [1.0, 3.0],
        "leftChild": -1,
        "rightChild": -1,
        "split": {"featureIndex": -1, "leftCategoriesOrThreshold": []},
    }
    split = pa.struct(
        [("featureIndex", pa.int32()), ("leftCategoriesOrThreshold", pa.list_(pa.float64()))]
    )
    node = pa.struct(
        [
            *(("id", pa.int32()), ("impurityStats", pa.list_(pa.float64()))),
            *(("leftChild", pa.int32()), ("rightChild", pa.int32()), ("split", split)),
        ]
    )
    columns = {"treeID": pa.array([0], pa.int32()), "nodeData": pa.array([leaf], node)}
    (directory / "data").mkdir()
    pq.write_table(pa.table(columns), directory / "data" / "part-00000.parquet")


def test_nothing_that_the_metadata_names_is_imported(tmp_path: Path) -> None:
    """Spark's own reader imports the class in the metadata; ours does not read the metadata."""
    (tmp_path / "sesame.py").write_text("raise SystemExit('imported')\n")
    write_forest(tmp_path / "forest", "sesame.Opener")
    ended = subprocess.run(
        [sys.executable, "-c", READS, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "[[0.75]]\n"), ended.stderr
