"""Links to features, or to kept frames, as one overlapped stream.

While one link is embedded or written the next are downloaded and decoded (`sampling`). Knows
nothing of Spark or tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from trailergenre.base.config import ChunksConfig, Config
from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FRAME_SIDE_PX, FeatureArray, FrameArray, Link
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.base.versions import DOWNLOAD_PACKAGES, check_minimum_versions
from trailergenre.features.backbone import BackboneManifest, Embedder, frames_a_call
from trailergenre.features.fetch_frames import LEAST_AHEAD, LinkRecord, StreamSettings, sample_links
from trailergenre.frames.decoder import Decoder
from trailergenre.frames.ffmpeg import ffmpeg_major
from trailergenre.runs.fingerprint import FeatureSettings
from trailergenre.runs.kept_frames import FramesWriter, Origin
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.formats import FORMAT_RULE
from trailergenre.videos.gate import Gate


def feature_settings(config: Config, manifest: BackboneManifest) -> FeatureSettings:
    """What the features of a configuration depend on."""
    return FeatureSettings(
        format_rule=FORMAT_RULE,
        frames_per_s=config.frames.per_second,
        frame_side_px=FRAME_SIDE_PX,
        ffmpeg_major=ffmpeg_major(),
        backbone_id=manifest.backbone_id,
        precision="mixed_float16" if config.backbone.mixed_precision else manifest.precision,
        calibration=manifest.int8_sha256,
    )


def stream_settings(config: Config) -> StreamSettings:
    """How a configuration downloads and decodes.

    Raises:
        ConfigError: a package that downloading uses is too old to be safe.
    """
    check_minimum_versions(*DOWNLOAD_PACKAGES)
    return StreamSettings(
        downloader=Downloader.from_config(config),
        decoder=Decoder(config.frames.per_second, config.limits),
        batch_size=frames_a_call(config.backbone),
        ahead=links_ahead(config.chunks),
    )


def links_ahead(chunks: ChunksConfig) -> int:
    """Links that a stream begins before the first of them is at its end.

    What is begun when a task is killed is asked for again: half of a chunk, and never more than
    one of `max_links`, even where that leaves the steps nothing to overlap with.
    """
    return min(chunks.max_links, max(LEAST_AHEAD, chunks.max_links // 2))


def embed_links(
    links: Iterable[Link],
    settings: StreamSettings,
    embedder: Embedder,
    gate: Gate | None = None,
    *,
    watch: Callable[[FrameArray], None] | None = None,
) -> Iterator[LinkRecord]:
    """Bring every link to its end, as its download ended: rows in = rows out.

    Args:
        links: any number.
        settings: of the stream.
        embedder: the loaded network.
        gate: passed by every attempt at a download; None: nothing is paced.
        watch: shown all frames on their way to the network, those before a failure too.

    Yields:
        One record a link; bad links are records with their class.
    """
    with closing(sample_links(links, settings, gate)) as steps:
        parts: list[FeatureArray] = []
        for record, frames in steps:
            if frames is not None:
                reach(Point.MID_INFERENCE)
                if watch is not None:
                    watch(frames)
                started = time.monotonic()
                parts.append(embedder.embed(frames))
                record.embed_s += time.monotonic() - started
                continue
            # Frames that came before a failure are dropped with it.
            if record.outcome is Outcome.OK:
                record.features = np.concatenate(parts)
            parts = []
            yield record


def keep_frames(
    links: Iterable[Link], settings: StreamSettings, gate: Gate | None = None
) -> Iterator[LinkRecord]:
    """Bring the frames of every link to the shelf: rows in = rows out.

    Args:
        links: any number.
        settings: of the stream; their shelf of frames is filled.
        gate: passed by every attempt at a download; None: nothing is paced.

    Yields:
        One record a link, without features; where it is `ok` its frames are kept.
    """
    shelf = settings.frames
    assert shelf is not None  # its caller keeps frames
    fresh = replace(settings, frames=None)
    with scratch_directory() as scratch, closing(sample_links(links, fresh, gate)) as steps:
        file: FramesWriter | None = None
        for record, frames in steps:
            started = time.monotonic()
            if frames is not None:
                link_id = record.link.link_id
                file = file or FramesWriter(scratch / link_id, shelf.place(link_id))
                file.add(frames)
                record.write_s += time.monotonic() - started
                continue
            if file is not None:
                origin = _origin(record, file.n_frames)
                file.close(origin)
                if origin is not None:
                    shelf.keep(file)
                file.path.unlink()
                file = None
            record.write_s += time.monotonic() - started
            yield record


def _origin(record: LinkRecord, n_frames: int) -> Origin | None:
    """What a file says of its frames; None for one that failed."""
    if record.outcome is not Outcome.OK or record.facts is None:
        return None
    return Origin(
        frames=n_frames,
        attempts=record.attempts,
        download_s=record.download_s,
        decode_s=record.decode_s,
        size_bytes=record.size_bytes,
        connections=record.connections,
        facts=record.facts,
    )
