"""One link on a laptop: link in, top genres out, without Spark, Java or TensorFlow.

The same download, decode and network as on the cluster, so the features are the same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from trailergenre.base.config import Config, LinksConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import VIDEO_SUFFIXES, FrameArray, GenreScore, LinkFrames
from trailergenre.features.backbone import load_embedder, read_manifest
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import feature_settings, stream_settings
from trailergenre.frames.decoder import frame_times
from trailergenre.links.canonical import LinkError, parse_link
from trailergenre.models.bundle import Bundle, check_fits
from trailergenre.models.timeline import Timeline

_REFUSED = {
    RowOutcome.SCHEME_REFUSED: Outcome.SCHEME,
    RowOutcome.HOST_DENIED: Outcome.HOST_DENIED,
    RowOutcome.NOT_A_SINGLE_VIDEO: Outcome.NOT_A_SINGLE_VIDEO,
}
"""What a cell is refused as, where a link has a class of that meaning too."""


@dataclass(frozen=True, slots=True)
class LinkScore:
    """What a link's trailer looks like to a bundle."""

    url: str  # canonical
    link_id: str  # SHA-256 of the url
    genres: list[GenreScore]  # the most probable ones, best first
    frames: int  # that were scored
    seconds: dict[str, float]  # wall seconds of each step
    notes: list[str]  # what must be said beside the scores, e.g. that the weights are random
    timeline: Timeline | None = None  # the same genres along the video, if asked for

    def to_json(self) -> dict[str, object]:
        """The same as plain values; a timeline that is not there is left out."""
        values = asdict(self)
        if self.timeline is None:
            del values["timeline"]
        return values


def score_link(cell: str, bundle: Bundle, config: Config) -> LinkScore:
    """Score one link, or the path of a video on this machine.

    Raises:
        ItemError: the link has no score; its class and reason.
        BundleError: the bundle was made for another backbone or sampling.
    """
    notes = find_notes(bundle, config)
    score = score_embedded(embed_link(cell, config), bundle, config, notes=notes)
    return replace(score, genres=score.genres[: config.score.top])


def find_notes(bundle: Bundle, config: Config) -> list[str]:
    """Find what must be said beside every score of a bundle with this configuration.

    Raises:
        BundleError: the bundle was made for another backbone or sampling.
    """
    manifest = read_manifest(Path(config.backbone.path).expanduser())
    return [*bundle.warnings, *check_fits(bundle, feature_settings(config, manifest))]


def embed_link(
    cell: str, config: Config, *, on_frames: Callable[[FrameArray], None] | None = None
) -> FetchedLink:
    """Bring one link, or the path of a video, to its features or the reason of its failure.

    `on_frames` is called with all frames that go to the network, those before a failure too.

    Raises:
        ItemError: the cell is not a link that may be downloaded.
    """
    path = Path(cell).expanduser()
    is_missing_file = path.suffix.lower() in VIDEO_SUFFIXES and "://" not in cell
    if path.is_file() or is_missing_file:
        # Naming a file on one's own command line allows that file, or to hear that there is none.
        roots = (*config.links.allowed_roots, str(path.resolve().parent))
        config = config.model_copy(update={"links": LinksConfig(allowed_roots=roots)})
    try:
        link = parse_link(cell, links=config.links, network=config.network, base=Path.cwd())
    except LinkError as error:
        raise ItemError(
            _REFUSED.get(error.row_outcome, Outcome.LINK_INVALID), error.detail
        ) from error
    # One link has the machine to itself; the output does not depend on the number of threads.
    threads = {"threads": os.cpu_count() or 1}
    embedder = load_embedder(config.backbone.model_copy(update=threads))
    (embedded,) = embed_links([link], stream_settings(config), embedder, on_frames=on_frames)
    return embedded


def score_embedded(
    embedded: FetchedLink, bundle: Bundle, config: Config, *, notes: list[str]
) -> LinkScore:
    """Score every genre of a link from `embed_link`; `notes` are from `find_notes`.

    Raises:
        ItemError: the link failed; its class and reason.
    """
    row = embedded.row
    if not row.is_ok:
        raise ItemError(row.outcome, row.detail)
    started = time.monotonic()
    probabilities = bundle.scorer.predict_proba([link_frames(embedded, config)])[0]
    seconds = {
        "download": row.download_s,
        "decode": row.decode_s,
        "embed": row.embed_s,
        "score": time.monotonic() - started,
    }
    return LinkScore(
        url=embedded.link.url,
        link_id=embedded.link.link_id,
        genres=bundle.rank_genres(probabilities),
        frames=row.frames,
        seconds={step: round(spent, 3) for step, spent in seconds.items()},
        notes=[*notes, *([row.detail] if row.detail else [])],
    )


def link_frames(embedded: FetchedLink, config: Config) -> LinkFrames:
    """Features of a link with the times of their frames."""
    frame_time_s = frame_times(len(embedded.features), config.frames.per_second)
    return LinkFrames(embedded.link.link_id, embedded.features, frame_time_s)
