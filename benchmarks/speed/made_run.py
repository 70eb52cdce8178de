"""Outcomes and features of a prepared run, as a session that has ended leaves them."""

from __future__ import annotations

import os

import numpy as np

from trailergenre.base.config import ChunksConfig
from trailergenre.base.records import LinkFrames, LinkId
from trailergenre.base.storage import Store
from trailergenre.features.settings import links_per_commit
from trailergenre.runs.commit import write_commit
from trailergenre.runs.fingerprint import FeatureSettings, write_settings
from trailergenre.runs.outcome_row import OutcomeRow
from trailergenre.runs.plan import read_ready_rows

WIDTH = 16
"""Values of a frame. Drivers read none, and a million frames of 2,048 take 8 GB of disk."""

LINKS_A_FILE = int(os.environ.get("LINKS_A_FILE", links_per_commit(ChunksConfig())))
"""Links of one commit; as in a run, unless the environment says otherwise."""


def make_outcomes(store: Store) -> FeatureSettings:
    """Commit one frame for every ready link, in as many files as a run does."""
    settings = FeatureSettings("rule", 1.0, 299, 7, "b" * 64, "fp32", width=WIDTH)
    write_settings(store, settings)
    ids = read_ready_rows(store, ["link_id", "row_outcome"])["link_id"].to_pylist()
    rng = np.random.default_rng(7)
    for start in range(0, len(ids), LINKS_A_FILE):
        chunk = [LinkId(link_id) for link_id in ids[start : start + LINKS_A_FILE]]
        values = rng.normal(size=(len(chunk), 1, WIDTH)).astype(np.float32)
        frames = [LinkFrames(i, x, np.zeros(1)) for i, x in zip(chunk, values, strict=True)]
        rows = [_row(link_id) for link_id in chunk]
        write_commit(store, settings.fingerprint, frames=frames, rows=rows)
    return settings


def _row(link_id: LinkId) -> OutcomeRow:
    return OutcomeRow(
        link_id,
        attempts=1,
        download_s=2.5,
        decode_s=3.1,
        embed_s=8.4,
        size_bytes=5_000_000,
        duration_s=1.0,
        pictures_s=1.0,
        width_px=640,
        height_px=360,
        frames=1,
        connections=("142.250.74.110:443", "172.217.21.174:443"),
        engine="onnxruntime",
        device="cpu",
        versions={"ffmpeg": "7.0.2", "onnxruntime": "1.30.1"},
    )
