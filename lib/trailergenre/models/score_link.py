"""Links on a laptop: links in, genres out, without Spark, Java or TensorFlow.

The same download, decode and network as on the cluster, so the features are the same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from trailergenre.base.config import Config, LinksConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import (
    VIDEO_SUFFIXES,
    FrameArray,
    FrameForm,
    GenreScore,
    Link,
    LinkFrames,
)
from trailergenre.features.backbone import Embedder, load_embedder, read_manifest
from trailergenre.features.backbone.artefact import local_backbone
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import feature_settings, stream_settings
from trailergenre.frames.decoder import frame_times
from trailergenre.links.canonical import LinkError, parse_link, without_user
from trailergenre.models.bundle import Bundle, check_fits
from trailergenre.models.timeline import Timeline
from trailergenre.videos.pacing import HostPacer, HostState, HostStates, Pacer

_REFUSED = {
    RowOutcome.SCHEME_REFUSED: Outcome.SCHEME,
    RowOutcome.HOST_DENIED: Outcome.HOST_DENIED,
    RowOutcome.NOT_A_SINGLE_VIDEO: Outcome.NOT_A_SINGLE_VIDEO,
}
"""What a cell is refused as, where a link has a class of that meaning too."""


@dataclass(frozen=True, slots=True)
class LinkScore:
    """What a link's trailer looks like to a bundle, or why it has no score."""

    url: str  # canonical; as given where it is not a link
    link_id: str  # SHA-256 of the url; empty where it is not a link
    outcome: Outcome
    detail: str  # one line: the reason of a failure
    genres: list[GenreScore]  # all of the bundle, the most probable first; none without a score
    frames: int  # that were scored
    seconds: dict[str, float]  # wall seconds of each step
    notes: list[str]  # what must be said beside the scores, e.g. that the weights are random
    timeline: Timeline | None = None  # the most probable genres along the video, if asked for

    def to_json(self) -> dict[str, object]:
        """The same as plain values; a timeline that is not there is left out."""
        values = asdict(self)
        if self.timeline is None:
            del values["timeline"]
        return values


def score_links(
    cells: Sequence[str | Link],
    bundle: Bundle,
    config: Config,
    embedder: Embedder | None = None,
) -> Iterator[tuple[int, LinkScore]]:
    """Score links and paths of videos; the network is loaded once, and sites keep their pace.

    Args:
        cells: links, paths of videos on this machine, or what `parse_cell` made of them.
        bundle: the model.
        config: its `hosts` give the pace.
        embedder: the loaded network of `config.backbone`; None to load it.

    Yields:
        The place in `cells` and the score, in the order in which the links end.

    Raises:
        BundleError: the bundle was made for another backbone or sampling.
    """
    notes = find_notes(bundle, config)
    places: dict[Link, list[int]] = {}
    for place, cell in enumerate(cells):
        try:
            link = cell if isinstance(cell, Link) else parse_cell(cell, config)
        except ItemError as error:
            yield place, failed_score(str(cell), error)
        else:
            places.setdefault(link, []).append(place)
    if not places:
        return
    by_id = {link.link_id: found for link, found in places.items()}
    for embedded in embed_in_turn(list(places), config, embedder or load_all_threads(config)):
        try:
            score = score_embedded(embedded, bundle, config, notes=notes)
        except ItemError as error:
            score = failed_score(embedded.link, error)
        for place in by_id[embedded.link.link_id]:
            yield place, score


def embed_in_turn(
    links: Sequence[Link],
    config: Config,
    embedder: Embedder,
    *,
    on_frames: Callable[[FrameArray], None] | None = None,
) -> Iterator[FetchedLink]:
    """Bring links to features at their hosts' pace; yields them as `fetch_links` does.

    A link that turns out to lead to a host with a pace is taken once more, in that host's turn.
    """
    settings = stream_settings(allow_files(links, config), embedder.manifest.input)
    while links:
        # A single link need not wait for those before it.
        pacer, ordered = Pacer(), iter(links)
        if len(links) > 1:
            hosts, max_rest_s = config.hosts, config.limits.max_rest_s
            pacer = HostPacer(hosts, HostStates(HostState), n_slots=1, max_rest_s=max_rest_s)
            ordered = pacer.order(links)
        led = []
        for embedded in embed_links(ordered, settings, embedder, pacer, on_frames=on_frames):
            if embedded.leads_to is None:
                yield embedded
            else:
                link = embedded.link
                led.append(replace(link, leads_to=(*link.leads_to, embedded.leads_to)))
        links = led


def score_link(cell: str, bundle: Bundle, config: Config) -> LinkScore:
    """Score one link, or the path of a video on this machine; errors as for `score_links`."""
    ((_, score),) = score_links([cell], bundle, config)
    return score


def failed_score(link: Link | str, error: ItemError) -> LinkScore:
    """What a link, or a cell that is none, has in place of a score."""
    # A link that is refused for its user name may hold a password.
    url, link_id = (link.url, link.link_id) if isinstance(link, Link) else (without_user(link), "")
    return LinkScore(url, link_id, error.outcome, error.detail, [], frames=0, seconds={}, notes=[])


def frame_form(config: Config) -> FrameForm:
    """The form of the frames that the configured network takes."""
    return read_manifest(local_backbone(config.backbone.path)).input


def find_notes(bundle: Bundle, config: Config) -> list[str]:
    """Find what must be said beside every score of a bundle with this configuration.

    Raises:
        BundleError: the bundle was made for another backbone or sampling.
    """
    manifest = read_manifest(local_backbone(config.backbone.path))
    return [*bundle.warnings, *check_fits(bundle, feature_settings(config, manifest))]


def parse_cell(cell: str, config: Config, base: Path | None = None) -> Link:
    """The link in a cell. Naming a video file on one's own command line allows it.

    Args:
        cell: a link, or the path of a video.
        config: the roots of other local files.
        base: directory of the list that the cell is from; None for the command line.

    Raises:
        ItemError: the cell is not a link that may be downloaded.
    """
    if base is None:
        path = Path(cell).expanduser()
        if path.is_file() or (path.suffix.lower() in VIDEO_SUFFIXES and "://" not in cell):
            config = allow_directory(path.resolve().parent, config)
    try:
        return parse_link(cell, links=config.links, network=config.network, base=base or Path.cwd())
    except LinkError as error:
        raise ItemError(
            _REFUSED.get(error.row_outcome, Outcome.LINK_INVALID), error.detail
        ) from error


def allow_directory(directory: Path, config: Config) -> Config:
    """A configuration that reads videos below a directory, too."""
    roots = (*config.links.allowed_roots, str(directory))
    return config.model_copy(update={"links": LinksConfig(allowed_roots=roots)})


def allow_files(links: Iterable[Link], config: Config) -> Config:
    """A configuration that reads the files of links, which were allowed when they were parsed."""
    for link in links:
        if link.url.startswith("file:"):
            path = Path(os.fsdecode(unquote_to_bytes(urlsplit(link.url).path)))
            config = allow_directory(path.parent, config)
    return config


def load_all_threads(config: Config) -> Embedder:
    """Load the network with a thread per core; its output does not depend on their number."""
    threads = {"threads": os.cpu_count() or 1}
    return load_embedder(config.backbone.model_copy(update=threads))


def embed_link(
    link: Link,
    config: Config,
    embedder: Embedder | None = None,
    *,
    on_frames: Callable[[FrameArray], None] | None = None,
) -> FetchedLink:
    """Bring one link to its features or the reason of its failure.

    `embedder` is the loaded network of `config.backbone`; None to load it. `on_frames` is called
    with all frames that go to the network, those before a failure too.
    """
    embedder = embedder or load_all_threads(config)
    (embedded,) = embed_in_turn([link], config, embedder, on_frames=on_frames)
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
        outcome=Outcome.OK,
        detail=row.detail,
        genres=bundle.rank_genres(probabilities),
        frames=row.frames,
        seconds={step: round(spent, 3) for step, spent in seconds.items()},
        notes=[*notes, *([row.detail] if row.detail else [])],
    )


def link_frames(embedded: FetchedLink, config: Config) -> LinkFrames:
    """Features of a link with the times of their frames."""
    frame_time_s = frame_times(len(embedded.features), config.frames.per_second)
    return LinkFrames(embedded.link.link_id, embedded.features, frame_time_s)
