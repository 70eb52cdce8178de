from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trailergenre.base.errors import ClusterError
from trailergenre.spark.training.mllib_forest import read_forest

TREES = """RandomForestRegressionModel: uid=RandomForestRegressor_7, numTrees=2, numFeatures=3
  Tree 0 (weight 1.0):
    If (feature 2 <= -1.5E-7)
     If (feature 0 <= 0.30000000000000004)
      Predict: 0.125
     Else (feature 0 > 0.30000000000000004)
      Predict: 1.0
    Else (feature 2 > -1.5E-7)
     Predict: 0.0
  Tree 1 (weight 1.0):
    Predict: 0.75
"""


def model(described: str) -> Any:
    """What Spark says of a model of two trees."""
    return SimpleNamespace(getNumTrees=2, toDebugString=described)


def test_trees_are_read_as_they_are_described() -> None:
    forest = read_forest(model(TREES), genre=4, n_features=3)
    assert forest.offsets.tolist() == [0, 5, 6]
    assert forest.first_genre.tolist() == [4, 4]
    assert forest.feature.tolist() == [2, 0, -1, -1, -1, -1]
    assert forest.threshold.tolist() == [-1.5e-7, 0.30000000000000004, 0, 0, 0, 0]
    assert forest.left.tolist() == [1, 2, -1, -1, -1, -1]
    assert forest.right.tolist() == [4, 3, -1, -1, -1, -1]
    assert forest.value[[2, 3, 4, 5], 0].tolist() == [0.125, 1.0, 0.0, 0.75]


@pytest.mark.parametrize(
    "described",
    [
        TREES.replace("Predict: 1.0", "Leaf: 1.0"),
        TREES.replace("Predict: 0.75", ""),
        TREES.replace("<=", "in"),
        TREES[: TREES.index("Else (feature 2")],
        "",
    ],
)
def test_another_description_is_refused(described: str) -> None:
    with pytest.raises(ClusterError, match=r"of 2 trees in a known form.*--trainer sklearn"):
        read_forest(model(described), genre=0, n_features=3)
