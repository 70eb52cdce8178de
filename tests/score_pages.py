"""Pages of one link made without a network or a video: frames and features by formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np
import pytest

from bundles import make_bundle, make_manifest
from lists import as_links
from trailergenre.base.config import Config
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import (
    INCEPTION_V3_FRAME,
    INCEPTION_V3_WIDTH,
    FeatureArray,
    FrameArray,
    Link,
)
from trailergenre.base.storage import Store
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.models.bundle import Bundle
from trailergenre.models.estimators.forest import Forest, join_trees
from trailergenre.models.score_link import LinkScore
from trailergenre.reports import link_report
from trailergenre.reports.link_report import report_link
from trailergenre.reports.pages import ReportFile
from trailergenre.runs.outcome_row import OutcomeRow

LINK = "https://films.test/watch?v=abc"


def make_frames(n_frames: int) -> FrameArray:
    """A disc that crosses a sky whose colour changes, round in 16:9; (n, 299, 299, 3), uint8."""
    y, x = np.mgrid[0:299, 0:299] / 299
    frames = np.empty((n_frames, 299, 299, 3), np.uint8)
    for k in range(n_frames):
        t = k / n_frames
        hue = np.array([np.sin(6 * t + phase) for phase in (0, 2, 4)]) * 0.35 + 0.5
        sky = hue * (1 - 0.7 * y[..., None])
        right, down = (x - t) * 16 / 9, y - 0.6 + 0.4 * np.sin(3 * t)
        disc = (right**2 + down**2 < 0.02)[..., None]
        ground = (y > 0.75 + 0.05 * np.sin(9 * x + 9 * t))[..., None]
        picture = np.where(ground, hue[::-1] * 0.25, np.where(disc, 0.95, sky))
        frames[k] = (255 * picture.clip(0, 1)).astype(np.uint8)
    return frames


def make_features(n_frames: int) -> FeatureArray:
    """The genre k is where feature k is high: each in waves of its own, and some noise."""
    t = np.arange(n_frames)[:, None] / n_frames
    waves = 0.5 + 0.4 * np.sin(2 * np.pi * (np.array([1, 1.5, 2, 2.5]) * t + np.arange(4) / 4))
    noise = np.random.default_rng(7).normal(scale=0.15, size=waves.shape)
    features = np.zeros((n_frames, INCEPTION_V3_WIDTH), np.float32)
    features[:, :4] = waves * np.array([0.4, 0.9, 0.7, 1.1]) + noise
    return features


def make_stumps() -> Forest:
    """A forest: the higher the mean of feature k, the more probable the genre k."""
    trees = [_stump(k, threshold) for k in range(4) for threshold in np.linspace(-0.1, 1.3, 60)]
    return join_trees(trees)


def _stump(genre: int, threshold: float) -> Forest:
    return Forest(
        offsets=np.array([0, 3], np.int64),
        first_genre=np.array([genre], np.int32),
        feature=np.array([genre, -1, -1], np.int32),
        threshold=np.array([threshold, 0, 0]),
        left=np.array([1, -1, -1], np.int32),
        right=np.array([2, -1, -1], np.int32),
        value=np.array([[0.0], [0.02], [0.98]]),
        n_features=3 * INCEPTION_V3_WIDTH,
    )


def make_link_bundle(directory: Path, *, weights: str = "imagenet") -> Bundle:
    thresholds = {"thresholds": (0.3, 0.5, 0.5, 0.4)}
    manifest = make_manifest(weights=weights).model_copy(update=thresholds)
    return make_bundle(Store(str(directory)), manifest=manifest, model=make_stumps())


def make_embedded_link(n_frames: int = 150) -> FetchedLink:
    """A link that went well."""
    link = as_links([LINK])[0]
    row = OutcomeRow(
        link.link_id,
        attempts=1,
        download_s=3.2,
        decode_s=1.5,
        embed_s=14.25,
        frames=n_frames,
        size_bytes=12_345_678,
        duration_s=float(n_frames),
        pictures_s=float(n_frames),
        width_px=1280,
        height_px=720,
    )
    return FetchedLink(link, row, features=make_features(n_frames))


def make_failed_link(outcome: Outcome, detail: str, *, size_bytes: int | None) -> FetchedLink:
    """A link that failed; in the download where no size is known."""
    link = as_links([LINK])[0]
    row = OutcomeRow(
        link.link_id,
        outcome=outcome,
        detail=detail,
        attempts=3,
        download_s=3.2,
        size_bytes=size_bytes,
    )
    return FetchedLink(link, row)


class FixedClock:
    """So that a picture of the page is the same tomorrow."""

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        return datetime(2026, 1, 1, tzinfo=zone)


def write_score_page(
    page: Path, *, record: FetchedLink, bundle: Bundle, frames: FrameArray
) -> LinkScore:
    """Report a link as if it had come to this record, with these frames on their way."""

    def embed(
        link: Link, config: Config, *, on_frames: Callable[[FrameArray], None]
    ) -> FetchedLink:
        for start in range(0, len(frames), 16):
            on_frames(frames[start : start + 16])
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_report, "embed_link", embed)
        patch.setattr(link_report, "datetime", FixedClock)
        patch.setattr(link_report, "find_notes", lambda bundle, config: bundle.warnings)
        patch.setattr(link_report, "frame_form", lambda config: INCEPTION_V3_FRAME)
        return report_link(LINK, bundle, Config(), page=ReportFile.named(page))


def score_page(directory: Path, *, n_frames: int = 150, weights: str = "imagenet") -> str:
    """The page of a link that went well."""
    bundle = make_link_bundle(directory / "bundle", weights=weights)
    record, frames = make_embedded_link(n_frames), make_frames(n_frames)
    write_score_page(directory / "page.html", record=record, bundle=bundle, frames=frames)
    return (directory / "page.html").read_text(encoding="utf-8")


def crowded_page(directory: Path) -> str:
    """The page of a long video whose genres are strongest at its beginning, in the first frame."""
    n_frames = 1000
    features = make_features(n_frames)
    features[:, :4] = np.linspace(1.2, 0, n_frames)[:, None]
    features[0, :4] = 5
    record = replace(make_embedded_link(n_frames), features=features)
    # One picture for all: a thousand are 268 MB.
    frames = np.broadcast_to(make_frames(1), (n_frames, 299, 299, 3))
    bundle = make_link_bundle(directory / "bundle")
    write_score_page(directory / "page.html", record=record, bundle=bundle, frames=frames)
    return (directory / "page.html").read_text(encoding="utf-8")


def failed_page(directory: Path) -> str:
    """The page of a link that was removed."""
    bundle = make_link_bundle(directory / "bundle")
    record = make_failed_link(Outcome.UNAVAILABLE, "it was removed", size_bytes=None)
    page = directory / "page.html"
    write_score_page(page, record=record, bundle=bundle, frames=make_frames(0))
    return page.read_text(encoding="utf-8")
