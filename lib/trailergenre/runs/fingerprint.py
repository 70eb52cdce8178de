"""The settings that decide what features are, and their hash.

Two runs with one fingerprint may share every table; changing one setting recomputes exactly what
it touches: the format rule touches the videos, the others only the frames and features.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

from trailergenre.base.errors import ConfigError, FingerprintError
from trailergenre.base.records import N_FEATURES
from trailergenre.base.storage import Store

EXTERNAL = "published"
"""Format rule of features that others made: no video of ours stands behind them."""


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """Everything that features depend on, besides the video's bytes.

    Attributes:
        format_rule: which of a site's formats is downloaded (`download.formats.FORMAT_RULE`).
        frames_per_s: sampling rate.
        frame_side_px: side of a frame.
        ffmpeg_major: major version of the decoder.
        backbone_id: the network, its weights and its preprocessing.
        precision: fp32, int8 or mixed_float16.
        width: features a frame.
        calibration: SHA-256 of an int8 network's file, which its calibration made; else empty.
    """

    format_rule: str
    frames_per_s: float
    frame_side_px: int
    ffmpeg_major: int
    backbone_id: str
    precision: str
    width: int = N_FEATURES
    calibration: str = ""

    @property
    def fingerprint(self) -> str:
        """16 hex digits; names `features/FP/` and `outcomes/FP/`."""
        settings = asdict(self)
        # A run made before there were other widths, or int8, keeps its fingerprint.
        if self.width == N_FEATURES:
            del settings["width"]
        if not self.calibration:
            del settings["calibration"]
        return _short_hash(settings)

    @property
    def is_external(self) -> bool:
        """Whether the features were read from published data."""
        return self.format_rule == EXTERNAL

    @property
    def videos_key(self) -> str:
        """16 hex digits of the part that videos depend on; names `videos/KEY/`."""
        return _short_hash({"format_rule": self.format_rule})

    @property
    def frames_key(self) -> str:
        """16 hex digits of the part that frames depend on; names `frames/KEY/`."""
        names = ("format_rule", "frames_per_s", "frame_side_px", "ffmpeg_major")
        return _short_hash({name: getattr(self, name) for name in names})

    def changed_from(self, other: FeatureSettings) -> list[str]:
        """Name each setting that differs, with both values."""
        return [
            f"{field.name}: {getattr(other, field.name)} -> {getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]


def _short_hash(settings: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def write_settings(store: Store, settings: FeatureSettings) -> None:
    """Record what a fingerprint stands for, beside its features."""
    content = json.dumps(asdict(settings), indent=2, sort_keys=True) + "\n"
    store.write_bytes(_settings_path(settings.fingerprint), content.encode())


def list_settings(store: Store) -> dict[str, FeatureSettings]:
    """Every fingerprint that a run holds features or outcomes of.

    A directory without settings is one that a job was killed in, or is just making: settings come
    before any features.

    Raises:
        FingerprintError: settings are not those that the fingerprint stands for.
    """
    return {
        name: _read(store, name)
        for name in store.list_directories("features")
        if store.exists(_settings_path(name))
    }


def _settings_path(fingerprint: str) -> str:
    return f"features/{fingerprint}/_settings.json"


def _read(store: Store, fingerprint: str) -> FeatureSettings:
    path = _settings_path(fingerprint)
    try:
        settings = FeatureSettings(**json.loads(store.read_bytes(path)))
    except (ValueError, TypeError) as error:
        raise FingerprintError(
            f"{path} below {store} does not hold the settings that this version knows: {error}. "
            "Restore it, or delete these features with their outcomes."
        ) from error
    if settings.fingerprint != fingerprint:
        raise FingerprintError(
            f"{path} below {store} was changed: it hashes to {settings.fingerprint}. "
            "Restore it, or delete these features with their outcomes."
        )
    return settings


def choose_fingerprint(store: Store, wanted: str | None) -> str:
    """Find the features that a reader means.

    Args:
        store: the run.
        wanted: a fingerprint, or None for the only one.

    Raises:
        ConfigError: there is no run, it has none, it has several, or `wanted` is not among them.
    """
    known = list_settings(store)
    if not known:
        if not store.exists(""):
            raise ConfigError(f"There is no run at {store}. Check its address.")
        raise ConfigError(f"There are no features below {store}. Run jobs/featurize.py first.")
    names = "; ".join(
        f"{name} ({s.frames_per_s:g} frames/s, backbone {s.backbone_id[:12]}, {s.precision})"
        for name, s in known.items()
    )
    if wanted is None and len(known) > 1:
        raise ConfigError(f"The run holds several feature sets; name one with --features: {names}.")
    chosen = wanted or next(iter(known))
    if chosen not in known:
        raise ConfigError(f"No features {chosen!r} below {store}. Received one of: {names}.")
    return chosen
