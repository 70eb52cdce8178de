"""Bundles made for tests, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from runs import GENRES, SETTINGS, link_id
from trailergenre.base.config import DatasetConfig, ForestConfig, RowsConfig
from trailergenre.base.storage import Store
from trailergenre.features.backbone import read_manifest
from trailergenre.models.bundle import Bundle, write_bundle
from trailergenre.models.calibration import no_calibration
from trailergenre.models.estimators.forest import Forest, constant_tree, join_trees
from trailergenre.models.manifest import (
    BackboneFacts,
    GenreFacts,
    Manifest,
    SamplingFacts,
    TestFacts,
    TrainingFacts,
)
from trailergenre.models.scorer import Model


def make_forest(probabilities: Sequence[float] = (0.1, 0.2, 0.3, 0.4)) -> Forest:
    """A forest that gives every link the same probabilities."""
    return join_trees(
        [
            constant_tree(p, genre=k, n_features=3 * SETTINGS.width)
            for k, p in enumerate(probabilities)
        ]
    )


def make_manifest(*, weights: str = "imagenet", shuffled: bool = False) -> Manifest:
    return Manifest(
        genres=GENRES,
        thresholds=(0.5,) * len(GENRES),
        not_modelled={"Western": 2},
        model="forest",
        rows="pooled",
        trainer="mllib",
        rows_config=RowsConfig(),
        parameters=ForestConfig(),
        search=None,
        calibration=no_calibration(len(GENRES)),
        backbone=BackboneFacts(
            backbone_id=SETTINGS.backbone_id,
            precision=SETTINGS.precision,
            width=SETTINGS.width,
            weights=weights,
        ),
        sampling=SamplingFacts(
            frames_per_s=SETTINGS.frames_per_s, frame_side_px=SETTINGS.frame_side_px
        ),
        training=TrainingFacts(
            data_sha256="d" * 64,
            shuffled_labels=shuffled,
            dataset=DatasetConfig(),
            movies={"train": 2, "validation": 1, "test": 1},
            links={"train": 2, "validation": 1, "test": 1},
            genre_shares=(0.4, 0.3, 0.2, 0.1),
            links_without_features=0,
            links_without_modelled_genre=0,
            links_without_part=0,
        ),
        validation_mean_ap=0.5,
        test=TestFacts(
            movies=1,
            measures={
                name: {"mean_ap": mean_ap, "micro_ap": 0.5, "brier": 0.1, "ece": 0.05}
                for name, mean_ap in [
                    ("model", 0.45),
                    ("uncalibrated", 0.45),
                    ("prior", 0.25),
                    ("majority", 0.2),
                ]
            },
            genres={genre: GenreFacts(movies=1, ap=0.45) for genre in GENRES},
        ),
        versions={"pyspark": "4.3.0"},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def make_split(parts: Mapping[str, str]) -> pa.Table:
    """A split of links named by `runs.labelled`: name -> part."""
    return pa.table(
        {
            "link_id": [link_id(name) for name in parts],
            "movie_id": [f"tt-{name}" for name in parts],
            "part": list(parts.values()),
        }
    )


def make_bundle(
    store: Store,
    *,
    parts: Mapping[str, str] | None = None,
    manifest: Manifest | None = None,
    model: Model | None = None,
) -> Bundle:
    """Write a bundle; what is not given is of no matter."""
    manifest = manifest or make_manifest()
    return write_bundle(
        store,
        manifest=manifest,
        model=model or make_forest(),
        split=make_split(parts or {"a": "train", "b": "train", "c": "validation", "d": "test"}),
    )


def manifest_for(backbone: Path) -> Manifest:
    """The manifest of a bundle for an exported backbone."""
    found = read_manifest(backbone)
    facts = BackboneFacts(
        backbone_id=found.backbone_id,
        precision=found.precision,
        width=SETTINGS.width,
        weights=found.source,
    )
    return make_manifest().model_copy(update={"backbone": facts})
