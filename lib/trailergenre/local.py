"""One link on a laptop: link in, top genres out, without Spark, Java or TensorFlow.

The same download, decode and network as on the cluster, so the features are the same bytes.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from trailergenre.backbone import load_embedder, read_manifest
from trailergenre.bundle import Bundle, check_fits
from trailergenre.config import Config, LinksConfig
from trailergenre.errors import ItemError
from trailergenre.links import LinkError, parse_link
from trailergenre.outcomes import Outcome
from trailergenre.records import GenreScore, LinkFrames
from trailergenre.sampling import LinkRecord
from trailergenre.stream import embed_links, feature_settings, stream_settings


@dataclass(frozen=True, slots=True)
class LinkScore:
    """What a link's trailer looks like to a bundle.

    Attributes:
        url: the canonical link.
        link_id: its SHA-256.
        genres: the most probable ones, best first.
        frames: frames that were scored.
        seconds: step -> wall seconds.
        notes: what must be said beside the scores, e.g. that the weights are random.
    """

    url: str
    link_id: str
    genres: list[GenreScore]
    frames: int
    seconds: dict[str, float]
    notes: list[str]

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


def score_link(cell: str, bundle: Bundle, config: Config) -> LinkScore:
    """Score one link.

    Args:
        cell: a link, or the path of a video on this machine.
        bundle: the model.
        config: the whole configuration.

    Raises:
        ItemError: the link has no score; its class and reason.
        BundleError: the bundle was made for another backbone or sampling.
    """
    manifest = read_manifest(Path(config.backbone.path).expanduser())
    notes = [*bundle.warnings, *check_fits(bundle, feature_settings(config, manifest))]
    record = _embed(cell, config)
    frame_time_s = np.arange(len(record.features)) / config.frames.per_second
    frames = LinkFrames(record.link.link_id, record.features, frame_time_s)
    genres = bundle.top_genres(bundle.predict_proba([frames])[0], config.score.top)
    return LinkScore(
        url=record.link.url,
        link_id=record.link.link_id,
        genres=genres,
        frames=len(record.features),
        seconds={
            "download": round(record.download_s, 3),
            "decode": round(record.decode_s, 3),
            "embed": round(record.embed_s, 3),
        },
        notes=notes,
    )


def _embed(cell: str, config: Config) -> LinkRecord:
    path = Path(cell).expanduser()
    if path.is_file():
        # Naming a file on one's own command line allows that file.
        roots = (*config.links.allowed_roots, str(path.resolve().parent))
        config = config.model_copy(update={"links": LinksConfig(allowed_roots=roots)})
    try:
        link = parse_link(cell, links=config.links, network=config.network, base=Path.cwd())
    except LinkError as error:
        raise ItemError(Outcome.LINK_INVALID, f"{error.row_outcome}: {error.detail}") from error
    # One link has the machine to itself; the output does not depend on the number of threads.
    threads = {"threads": os.cpu_count() or 1}
    embedder = load_embedder(config.backbone.model_copy(update=threads))
    (record,) = embed_links([link], stream_settings(config), embedder)
    if record.outcome is not Outcome.OK:
        raise ItemError(record.outcome, record.detail)
    return record
