"""What a task needs besides its links: one object, small enough to travel to every worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trailergenre.base.config import ChunksConfig, Config
from trailergenre.base.errors import WeightsError
from trailergenre.base.fault_injection import Fault, read_faults
from trailergenre.base.records import FrameForm
from trailergenre.base.storage import Store
from trailergenre.base.versions import DOWNLOAD_PACKAGES, check_minimum_versions
from trailergenre.features.backbone import BackboneManifest, frames_a_call, read_manifest
from trailergenre.features.backbone.artefact import absolute_place, local_backbone
from trailergenre.frames.ffmpeg import ffmpeg_major
from trailergenre.runs.fingerprint import FeatureSettings
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.runs.kept_videos import KeptVideos
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.formats import format_rule

_MIN_LINKS_AHEAD = 4
"""Links that must be open for the steps to overlap: one a step, and one that waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """What bringing links to features takes, with or without a run.

    Holds no secret: the proxy's address and the cookies are read where they are used. Kept `videos`
    and `frames` are None to neither read nor keep any.
    """

    config: Config
    form: FrameForm  # of the frames
    videos: KeptVideos | None = None
    frames: KeptFrames | None = None

    @property
    def batch_size(self) -> int:
        """Frames a call of the network."""
        return frames_a_call(self.config.backbone)

    def list_kept(self) -> set[str]:
        """Ids of links that need no download: their videos or frames are kept."""
        kept = (self.videos, self.frames)
        return set().union(*(each.list_link_ids() for each in kept if each is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings(StreamSettings):
    """What a task of a run takes; a worker that would give other `features` must fail."""

    store: Store
    features: FeatureSettings
    faults: tuple[Fault, ...] = ()


def stream_settings(config: Config, form: FrameForm) -> StreamSettings:
    """Settings for links outside of a run; `form` is that of the network's frames.

    A ConfigError if a download package is too old, or the proxy or the cookies cannot be used.
    """
    _check_downloads(config, form)
    return StreamSettings(config=config, form=form)


def task_settings(
    config: Config,
    store: Store,
    features: FeatureSettings,
    keep: Literal["videos", "frames"] | None = None,
) -> TaskSettings:
    """Settings for the tasks of a run, made on the driver; errors as for `stream_settings`."""
    # Workers have another working directory than the driver, and perhaps another home.
    path = absolute_place(config.backbone.path)
    roots = tuple(str(Path(root).expanduser().resolve()) for root in config.links.allowed_roots)
    cookies = config.network.cookie_file
    cookies = cookies and str(Path(cookies).expanduser().absolute())
    config = config.model_copy(
        update={
            "backbone": config.backbone.model_copy(update={"path": path}),
            "links": config.links.model_copy(update={"allowed_roots": roots}),
            "network": config.network.model_copy(update={"cookie_file": cookies}),
        }
    )
    _check_downloads(config, features.form)
    return TaskSettings(
        config=config,
        form=features.form,
        videos=KeptVideos(store, features.videos_key, keeps_new=keep == "videos"),
        frames=KeptFrames(store, features.frames_key, keeps_new=keep == "frames"),
        store=store,
        features=features,
        faults=read_faults(),
    )


def _check_downloads(config: Config, form: FrameForm) -> None:
    """Refuse, before any work, what would fail each task or link."""
    check_minimum_versions(*DOWNLOAD_PACKAGES)
    Downloader.from_config(config, form)


def feature_settings(config: Config, manifest: BackboneManifest) -> FeatureSettings:
    """What the features of a configuration depend on."""
    form = manifest.input
    return FeatureSettings(
        format_rule=format_rule(form),
        frames_per_s=config.frames.per_second,
        frame_side_px=form.width,
        ffmpeg_major=ffmpeg_major(),
        backbone_id=manifest.backbone_id,
        precision=_precision(config, manifest),
        width=manifest.output.width,
        calibration=manifest.int8_sha256,
        frame_height_px=None if form.height == form.width else form.height,
        resize=form.resize,
    )


def named_by(config: Config) -> Callable[[FeatureSettings], bool]:
    """Whether features are those of a configuration; without its network, as far as it tells."""

    def is_named(settings: FeatureSettings) -> bool:
        if settings.frames_per_s != config.frames.per_second:
            return False
        try:
            manifest = read_manifest(local_backbone(config.backbone.path))
        except WeightsError:
            return True
        ours = (manifest.backbone_id, _precision(config, manifest))
        return ours == (settings.backbone_id, settings.precision)

    return is_named


def _precision(config: Config, manifest: BackboneManifest) -> str:
    """The precision of features. Engines agree on fp32 (1e-4), but not on int8."""
    if config.backbone.mixed_precision:
        return "mixed_float16"
    if (manifest.precision, config.backbone.engine) == ("int8", "openvino"):
        return "int8_openvino"
    return manifest.precision


def network_precision(precision: str) -> str:
    """The precision of the network that computed features of a precision.

    >>> network_precision("int8_openvino")
    'int8'
    """
    return {"mixed_float16": "fp32", "int8_openvino": "int8"}.get(precision, precision)


def links_ahead(chunks: ChunksConfig) -> int:
    """Links that a task begins before the first of them is finished.

    A killed task's open links are downloaded again, so these are half of a chunk, and never more
    than `max_links`, even where that leaves the steps nothing to overlap with.
    """
    return min(chunks.max_links, max(_MIN_LINKS_AHEAD, chunks.max_links // 2))


def links_per_commit(chunks: ChunksConfig) -> int:
    """Links of one commit at most: with those that are ahead of it, `max_links` are open."""
    return max(1, chunks.max_links - links_ahead(chunks))
