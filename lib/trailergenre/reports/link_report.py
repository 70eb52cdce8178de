"""Score one link and write a page that shows how the score came about, or why there is none."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from PIL import Image

from trailergenre import __version__
from trailergenre.base.config import Config
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FrameArray, GenreScore, Link
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.links.canonical import without_user
from trailergenre.models.bundle import Bundle
from trailergenre.models.manifest import Manifest
from trailergenre.models.model_card import MODELS, ROWS
from trailergenre.models.score_link import (
    LinkScore,
    embed_link,
    failed_score,
    find_notes,
    frame_form,
    link_frames,
    parse_cell,
    score_embedded,
)
from trailergenre.models.timeline import make_timeline
from trailergenre.reports.pages import ReportFile
from trailergenre.reports.score_page import GenreResult, render_score
from trailergenre.runs.outcome_row import OutcomeRow

_STEPS = ("link", "download", "decode", "embed", "score", "timeline", "thumbnails")
_JPEG_QUALITY = 70
"""A film frame takes about 10 KB and shows no artefacts at the size of a thumbnail."""


def report_link(cell: str | Link, bundle: Bundle, config: Config, *, page: ReportFile) -> LinkScore:
    """Score one link, or the path of a video, and write its page, also if the link fails.

    It makes no request beyond those of scoring: thumbnails are taken on the way to the network.

    Raises:
        BundleError: the bundle does not fit the backbone or sampling rate; no page is written.
        StorageError: the page cannot be written.
        ForeignFileError: the page would replace a file that is no report.
    """
    started = time.monotonic()
    notes = find_notes(bundle, config)
    thumbnails = _Thumbnails()
    embedded: FetchedLink | None = None
    score: LinkScore | None = None
    failure: ItemError | None = None
    genres: list[GenreResult] = []
    try:
        link = cell if isinstance(cell, Link) else parse_cell(cell, config)
        embedded = embed_link(link, config, on_frames=thumbnails.add)
        score = score_embedded(embedded, bundle, config, notes=notes)
        genres = _genre_results(score.genres, bundle.manifest)
        score = _add_timeline(score, embedded, bundle, config)
        score.seconds["thumbnails"] = round(thumbnails.seconds, 3)
    except ItemError as error:
        failure = error
    outcome = failure.outcome if failure else Outcome.OK
    facts = {
        # A page may be shared: a link that is refused for its user name may hold a password.
        "link": embedded.link.url if embedded else without_user(str(cell)),
        "link_id": embedded.link.link_id if embedded else None,
        "outcome": outcome,
        "help": outcome.meaning,
        "detail": failure.detail if failure else "",
        "notes": notes,
        "steps": _steps(embedded, failure, score.seconds if score else {}),
        "total_s": time.monotonic() - started,
        "video": embedded.row if embedded else OutcomeRow(""),
        "frames_per_s": config.frames.per_second,
        "manifest": bundle.manifest,
        "form": frame_form(config),
        "kind": MODELS[bundle.manifest.model],
        "input": ROWS[bundle.manifest.rows],
        "sha256": bundle.sha256,
        "version": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    timeline = score.timeline if score else None
    page.write(
        render_score(
            facts,
            genres,
            timeline=timeline,
            pictures=thumbnails.jpegs,
            neighbours=page.neighbours(),
        )
    )
    if failure is not None:
        return failed_score(embedded.link if embedded else str(cell), failure)
    assert score is not None
    return score


def make_jpegs(frames: FrameArray) -> list[bytes]:
    """Encode frames as JPEGs of the same size."""
    jpegs = []
    for frame in frames:
        content = io.BytesIO()
        Image.fromarray(frame).save(content, "JPEG", quality=_JPEG_QUALITY)
        jpegs.append(content.getvalue())
    return jpegs


class _Thumbnails:
    """Keeps a JPEG of each frame on its way to the network, in order."""

    def __init__(self) -> None:
        self.jpegs: list[bytes] = []
        self.seconds = 0.0

    def add(self, frames: FrameArray) -> None:
        """Take the next frames."""
        started = time.monotonic()
        self.jpegs += make_jpegs(frames)
        self.seconds += time.monotonic() - started


def _add_timeline(
    score: LinkScore, embedded: FetchedLink, bundle: Bundle, config: Config
) -> LinkScore:
    """Add the timeline of the most probable genres."""
    started = time.monotonic()
    genres = score.genres[: config.score.top]
    timeline = make_timeline(
        bundle.scorer,
        link_frames(embedded, config),
        frames_per_s=config.frames.per_second,
        genres={each.genre: bundle.manifest.genres.index(each.genre) for each in genres},
    )
    seconds = {**score.seconds, "timeline": round(time.monotonic() - started, 3)}
    return replace(score, timeline=timeline, seconds=seconds)


def _genre_results(scores: list[GenreScore], manifest: Manifest) -> list[GenreResult]:
    shares = dict(zip(manifest.genres, manifest.training.genre_shares, strict=True))
    return [
        GenreResult(each.genre, each.probability, each.threshold, shares[each.genre])
        for each in scores
    ]


def _steps(
    embedded: FetchedLink | None, failure: ItemError | None, seconds: Mapping[str, float]
) -> list[dict[str, object]]:
    """Each step's outcome and wall seconds, in order."""
    if failure is None:
        outcomes = [Outcome.OK] * len(_STEPS)
    else:
        n_ok = 0
        if embedded is not None:
            # The size of a video is known once it is downloaded.
            n_ok = _STEPS.index("download" if embedded.row.size_bytes is None else "decode")
            seconds = {"download": embedded.row.download_s, "decode": embedded.row.decode_s}
        outcomes = [Outcome.OK] * n_ok + [failure.outcome]
    return [
        {
            "name": step,
            "outcome": outcome or "not reached",
            "seconds": seconds.get(step) if outcome else None,
        }
        for step, outcome in itertools.zip_longest(_STEPS, outcomes)
    ]
