"""One link to its score and to a page that shows how it came about, on a laptop.

A link that fails has a page too: which step failed, and why. Costs what scoring costs and no other
request: thumbnails are taken of the frames on their way to the network. Only a score with a report
imports this, and with it Pillow and Jinja.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from trailergenre import __version__
from trailergenre.base.config import Config
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FrameArray, GenreScore
from trailergenre.features.fetch_frames import LinkRecord
from trailergenre.links.canonical import without_user
from trailergenre.models.bundle import Bundle
from trailergenre.models.manifest import Manifest
from trailergenre.models.model_card import MODELS, ROWS
from trailergenre.models.score_link import (
    LinkScore,
    embed_link,
    find_notes,
    link_frames,
    score_record,
)
from trailergenre.models.timeline import make_timeline
from trailergenre.reports.pages import write_page
from trailergenre.reports.score_page import ShownGenre, render_score
from trailergenre.reports.thumbnails import make_jpegs

_STEPS = ("link", "download", "decode", "embed", "score", "timeline", "thumbnails")
_NOT_REACHED = "not reached"


def report_link(cell: str, bundle: Bundle, config: Config, *, page: Path) -> LinkScore:
    """Score one link and write its page, whether it has a score or not.

    Args:
        cell: a link, or the path of a video on this machine.
        bundle: the model.
        config: the whole configuration.
        page: file to write; one that is there is replaced.

    Returns:
        The score, with its timeline.

    Raises:
        ItemError: the link has no score; the page says why as well.
        BundleError: the bundle was made for another backbone or sampling; there is no page.
        StorageError: the page cannot be written.
    """
    started = time.monotonic()
    notes = find_notes(bundle, config)
    thumbnails = _Thumbnails()
    record: LinkRecord | None = None
    score: LinkScore | None = None
    failure: ItemError | None = None
    try:
        record = embed_link(cell, config, watch=thumbnails.add)
        score = score_record(record, bundle, _with_all_genres(config, bundle), notes=notes)
    except ItemError as error:
        failure = error
    genres = _show_genres(score.genres if score else [], bundle.manifest)
    if record is not None and score is not None:
        score = replace(score, genres=score.genres[: config.score.top])
        score = _add_timeline(score, record, bundle, config)
        score.seconds["thumbnails"] = round(thumbnails.seconds, 3)
    shown = {
        **_end(cell, record, failure),
        "notes": notes,
        "steps": _steps(record, failure, score.seconds if score else _seconds(record)),
        "total_s": time.monotonic() - started,
        "video": _video(record, config),
        "model": _model(bundle),
        "version": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    timeline = score.timeline if score else None
    html = render_score(shown, genres, timeline=timeline, pictures=thumbnails.jpegs)
    write_page(page, html)
    if score is None:
        assert failure is not None  # there is one of them
        raise failure
    return score


def _with_all_genres(config: Config, bundle: Bundle) -> Config:
    """Ask for every genre's score: one that is given may stand behind those that are named."""
    score = config.score.model_copy(update={"top": len(bundle.manifest.genres)})
    return config.model_copy(update={"score": score})


class _Thumbnails:
    """Keeps a small picture of each frame that passes; row i of the features is `jpegs[i]`."""

    def __init__(self) -> None:
        self.jpegs: list[bytes] = []
        self.seconds = 0.0

    def add(self, frames: FrameArray) -> None:
        """Take the next frames, shape (n, 299, 299, 3), uint8, RGB."""
        started = time.monotonic()
        self.jpegs += make_jpegs(frames)
        self.seconds += time.monotonic() - started


def _add_timeline(
    score: LinkScore, record: LinkRecord, bundle: Bundle, config: Config
) -> LinkScore:
    started = time.monotonic()
    timeline = make_timeline(
        bundle.scorer,
        link_frames(record, config),
        frames_per_s=config.frames.per_second,
        genres={found.genre: bundle.manifest.genres.index(found.genre) for found in score.genres},
    )
    seconds = {**score.seconds, "timeline": round(time.monotonic() - started, 3)}
    return replace(score, timeline=timeline, seconds=seconds)


def _end(cell: str, record: LinkRecord | None, failure: ItemError | None) -> dict[str, object]:
    """Which link it is, and what became of it."""
    outcome = failure.outcome if failure else Outcome.OK
    return {
        # A page is passed on: a link that is refused for its user name may hold a password.
        "link": record.link.url if record else without_user(cell),
        "link_id": record.link.link_id if record else None,
        "outcome": outcome,
        "help": outcome.meaning,
        "detail": failure.detail if failure else "",
    }


def _show_genres(scores: list[GenreScore], manifest: Manifest) -> list[ShownGenre]:
    """Set the genres beside what they must reach and how frequent they were in training."""
    columns = [manifest.genres.index(score.genre) for score in scores]
    return [
        ShownGenre(
            genre=score.genre,
            probability=score.probability,
            threshold=manifest.thresholds[column],
            prior=manifest.training.genre_shares[column],
        )
        for score, column in zip(scores, columns, strict=True)
    ]


def _seconds(record: LinkRecord | None) -> dict[str, float]:
    """Of the steps of a link that failed."""
    if record is None:
        return {}
    return {"download": record.download_s, "decode": record.decode_s}


def _steps(
    record: LinkRecord | None, failure: ItemError | None, seconds: Mapping[str, float]
) -> list[dict[str, object]]:
    """The steps in their order, each with what became of it and its wall seconds."""
    failed_at = len(_STEPS)
    if failure is not None:
        # A size is known of a video that came.
        failed = "download" if record and record.size_bytes is None else "decode"
        failed_at = _STEPS.index(failed if record else "link")
    found: list[dict[str, object]] = []
    for place, step in enumerate(_STEPS):
        outcome: str = Outcome.OK if place < failed_at else _NOT_REACHED
        if failure is not None and place == failed_at:
            outcome = failure.outcome
        spent = seconds.get(step) if place <= failed_at else None
        found.append({"name": step, "outcome": outcome, "seconds": spent})
    return found


def _video(record: LinkRecord | None, config: Config) -> dict[str, object]:
    facts = record.facts if record else None
    return {
        "frames": len(record.features) if record else 0,
        "frames_per_s": config.frames.per_second,
        "size_bytes": record.size_bytes if record else None,
        "attempts": record.attempts if record else 0,
        "duration_s": facts.duration_s if facts else None,
        "width_px": facts.width_px if facts else None,
        "height_px": facts.height_px if facts else None,
    }


def _model(bundle: Bundle) -> dict[str, object]:
    """What somebody who reads the page must know of the model; the whole is its card."""
    manifest = bundle.manifest
    measures = manifest.test.measures
    return {
        "kind": MODELS[manifest.model],
        "sees": ROWS[manifest.rows],
        "trainer": manifest.trainer,
        "created_at": manifest.created_at.date().isoformat(),
        "weights": manifest.backbone.weights,
        "precision": manifest.backbone.precision,
        "calibration": manifest.calibration.method,
        "span": manifest.rows_config.span,
        "n_genres": len(manifest.genres),
        "movies": manifest.training.movies.get("train", 0),
        "test_movies": manifest.test.movies,
        "mean_ap": measures.get("model", {}).get("mean_ap"),
        "prior_mean_ap": measures.get("prior", {}).get("mean_ap"),
        "sha256": bundle.sha256,
    }
