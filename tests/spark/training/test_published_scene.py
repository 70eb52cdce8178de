"""Both trainers on a published image set whose split and results are published too.

Source: `scene` of Boutell et al. 2004 with Mulan's split; one forest a label is published with a
micro-averaged AUPRC of .852, an LRAP of .874 and a Hamming loss of .087.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from quality.external import read_mulan
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from trailergenre.base.config import ForestConfig
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.spark.training.fit_per_genre import label_rows
from trailergenre.spark.training.forest import fit_forests

CONFIG = ForestConfig(trees=25, max_depth=10, min_rows_per_leaf=3, parallelism=2)


@dataclass(frozen=True)
class Scene:
    """Features and labels of a part."""

    X: NDArray[np.float32]
    y: NDArray[np.int8]


@pytest.fixture(scope="module")
def parts(data_dir: Path) -> dict[Part, Scene]:
    scene = read_mulan(data_dir / "mulan")
    y = scene.truth(tuple(sorted({g for row in scene.labels for g in row.genres.split("|")})))
    parts = (Part.TRAIN, Part.TEST)
    places = {part: [row.split == part for row in scene.labels] for part in parts}
    return {part: Scene(scene.features[rows], y[rows]) for part, rows in places.items()}


def assert_as_published(probabilities: ProbabilityArray, test: Scene) -> None:
    assert probabilities.shape == test.y.shape == (1196, 6)
    assert average_precision_score(test.y.ravel(), probabilities.ravel()) >= 0.82
    assert label_ranking_average_precision_score(test.y, probabilities) >= 0.86
    assert np.mean((probabilities >= 0.5) != test.y) <= 0.10


def test_scikit_learn_forests_are_as_published(parts: dict[Part, Scene]) -> None:
    train = parts[Part.TRAIN]
    test = parts[Part.TEST]
    forests = [fit_forest(train.X, label[:, None], CONFIG) for label in train.y.T]
    assert_as_published(np.hstack([f.predict_proba(test.X) for f in forests]), test)


@pytest.mark.soak
def test_mllib_forests_are_as_published(
    spark: SparkSession, parts: dict[Part, Scene], tmp_path: Path
) -> None:
    train = parts[Part.TRAIN]
    link_ids = [f"{number:064x}" for number in range(len(train.X))]
    table = pa.table({"link_id": link_ids, "number": [0] * len(link_ids), "row": list(train.X)})
    store = Store(str(tmp_path))
    forest = fit_forests(
        label_rows(spark.createDataFrame(table), link_ids, train.y, model="forest", store=store),
        genres=[str(column) for column in range(train.y.shape[1])],
        config=CONFIG,
        on_step=lambda *_: None,
    )
    test = parts[Part.TEST]
    assert_as_published(forest.predict_proba(test.X), test)
