"""The page of a real video, by a network with random weights and a model of four short clips.

Big Buck Bunny, Caminandes, Sintel and Tears of Steel are (c) Blender Foundation, CC BY 3.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backbones import export_tiny
from bundles import make_bundle, manifest_for
from score_pages import FixedClock
from trailergenre.base.config import Config, LogisticConfig, RowsConfig
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle
from trailergenre.models.calibration import no_calibration
from trailergenre.models.estimators.logistic import fit_logistic
from trailergenre.models.pooling import pool_frames
from trailergenre.models.score_link import embed_link, parse_cell
from trailergenre.reports import link_report
from trailergenre.reports.link_report import report_link
from trailergenre.reports.pages import ReportFile

GENRES = ("Adventure", "Animation", "Comedy", "Sci-Fi")
CLIPS = {
    "big_buck_bunny_480p_30s.mp4": {"Animation", "Comedy"},
    "caminandes_360p_10s.mp4": {"Adventure", "Animation", "Comedy"},
    "sintel_360p_10s.mp4": {"Adventure", "Animation"},
    "tears_of_steel_360p_10s.mp4": {"Adventure", "Sci-Fi"},
}
"""File name -> genres of the film."""

_WINDOW = 4
"""Frames of a training row."""
_RECIPE = LogisticConfig(c=0.0003)
"""So weak that the probabilities vary along the video, which was trained on."""


def real_score_page(directory: Path, videos: Path) -> str:
    """The page of Big Buck Bunny.

    Args:
        directory: for the network and the bundle.
        videos: where the clips are.
    """
    config = Config.model_validate(
        {
            "backbone": {"path": str(export_tiny(directory / "backbone"))},
            "links": {"allowed_roots": (str(videos),)},
        }
    )
    bundle, page = _train(directory, videos, config), directory / "score.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_report, "datetime", FixedClock)
        report_link(str(videos / next(iter(CLIPS))), bundle, config, page=ReportFile.named(page))
    html = page.read_text(encoding="utf-8")
    return html.replace(videos.resolve().as_uri(), "file:///trailers")


def _train(directory: Path, videos: Path, config: Config) -> Bundle:
    """A logistic regression of a few frames at a time."""
    rows, truth = [], []
    for name, genres in CLIPS.items():
        features = embed_link(parse_cell(str(videos / name), config), config).features
        assert features is not None
        for start in range(0, len(features) - _WINDOW + 1, 2):
            window = features[start : start + _WINDOW]
            rows.append(pool_frames(window, RowsConfig().statistics))
            truth.append([genre in genres for genre in GENRES])
    marks = np.array(truth, np.int8)
    manifest = manifest_for(Path(config.backbone.path))
    shares = tuple(float(share) for share in marks.mean(axis=0))
    facts = {
        "genres": GENRES,
        "not_modelled": {},
        "model": "logistic",
        "trainer": "sklearn",
        "parameters": _RECIPE,
        "calibration": no_calibration(len(GENRES)),
        "training": manifest.training.model_copy(
            update={"genre_shares": shares, "movies": {"train": len(CLIPS)}}
        ),
    }
    return make_bundle(
        Store(str(directory / "bundle")),
        manifest=manifest.model_copy(update=facts),
        model=fit_logistic(np.array(rows), marks, _RECIPE),
    )
