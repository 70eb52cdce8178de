"""Bundles made for tests, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from runs import GENRES, SETTINGS, link_id
from trailergenre.backbone import read_manifest
from trailergenre.bundle import Bundle, write_bundle
from trailergenre.config import DatasetConfig, ForestConfig
from trailergenre.forest import Forest, constant_tree, join_trees
from trailergenre.manifest import BackboneFacts, Manifest, SamplingFacts, TrainingFacts
from trailergenre.pooling import N_POOLED, STATISTICS
from trailergenre.storage import Store


def make_forest(probabilities: Sequence[float] = (0.1, 0.2, 0.3, 0.4)) -> Forest:
    """A forest that gives every link the same probabilities."""
    return join_trees(
        [constant_tree(p, genre=k, n_features=N_POOLED) for k, p in enumerate(probabilities)]
    )


def make_manifest(*, weights: str = "imagenet", shuffled: bool = False) -> Manifest:
    return Manifest(
        genres=GENRES,
        thresholds=(0.5,) * len(GENRES),
        not_modelled={"Western": 2},
        model="forest",
        rows="pooled",
        trainer="mllib",
        pooling=STATISTICS,
        backbone=BackboneFacts(
            backbone_id=SETTINGS.backbone_id, precision=SETTINGS.precision, weights=weights
        ),
        sampling=SamplingFacts(
            frames_per_s=SETTINGS.frames_per_s, frame_side_px=SETTINGS.frame_side_px
        ),
        training=TrainingFacts(
            data_sha256="d" * 64,
            shuffled_labels=shuffled,
            dataset=DatasetConfig(),
            forest=ForestConfig(),
            movies={"train": 2, "validation": 1, "test": 1},
            links={"train": 2, "validation": 1, "test": 1},
            genre_shares=(0.4, 0.3, 0.2, 0.1),
            links_without_features=0,
            links_without_modelled_genre=0,
        ),
        validation_mean_ap=0.5,
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
    forest: Forest | None = None,
) -> Bundle:
    """Write a bundle; what is not given is of no matter."""
    return write_bundle(
        store,
        manifest=manifest or make_manifest(),
        forest=forest or make_forest(),
        split=make_split(parts or {"a": "train", "b": "train", "c": "validation", "d": "test"}),
    )


def manifest_for(backbone: Path) -> Manifest:
    """The manifest of a bundle for an exported backbone."""
    found = read_manifest(backbone)
    facts = BackboneFacts(
        backbone_id=found.backbone_id, precision=found.precision, weights=found.weights
    )
    return make_manifest().model_copy(update={"backbone": facts})
