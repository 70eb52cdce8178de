"""The settings that features depend on, and their hash, the fingerprint."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

from trailergenre.base.errors import ConfigError, FingerprintError
from trailergenre.base.records import INCEPTION_V3_WIDTH, FrameForm, Resize
from trailergenre.base.storage import Store

log = logging.getLogger(__name__)

EXTERNAL = "published"
"""Format rule of features that others computed, from videos that we do not have."""


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """Everything that features depend on, except the video."""

    format_rule: str  # which of a site's formats is downloaded, or `EXTERNAL`
    frames_per_s: float
    frame_side_px: int  # the width of a frame, and its height unless that is given
    ffmpeg_major: int
    backbone_id: str  # the network, its weights and its preprocessing
    precision: str  # fp32, int8 (by ONNX Runtime), int8_openvino or mixed_float16
    width: int = INCEPTION_V3_WIDTH
    calibration: str = ""
    """SHA-256 of an int8 network's file, which depends on its representative frames; else empty."""
    frame_height_px: int | None = None
    resize: Resize = "squeeze"

    @property
    def form(self) -> FrameForm:
        """The frames' form."""
        return FrameForm(
            self.frame_height_px or self.frame_side_px, self.frame_side_px, self.resize
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits, which name `features/FP/` and `outcomes/FP/`."""
        return _short_hash(_without_defaults(asdict(self)))

    @property
    def is_external(self) -> bool:
        """Whether the features are external data."""
        return self.format_rule == EXTERNAL

    @property
    def videos_key(self) -> str:
        """Hash of what videos depend on, which names `videos/KEY/`."""
        return _short_hash({"format_rule": self.format_rule})

    @property
    def frames_key(self) -> str:
        """Hash of what frames depend on, which names `frames/KEY/`."""
        names = ["format_rule", "frames_per_s", "frame_side_px", "ffmpeg_major"]
        names += ["frame_height_px", "resize"]
        return _short_hash(_without_defaults({name: getattr(self, name) for name in names}))

    def changed_from(self, other: FeatureSettings) -> list[str]:
        """List the settings that differ, with both values."""
        new, old = asdict(self), asdict(other)
        return [f"{name}: {old[name]} -> {new[name]}" for name in new if new[name] != old[name]]


_LATER = {
    "width": INCEPTION_V3_WIDTH,
    "calibration": "",
    "frame_height_px": None,
    "resize": "squeeze",
}
"""Settings that were added later count only if they are not this default: runs keep their names."""


def _without_defaults(settings: dict[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in settings.items()
        if name not in _LATER or value != _LATER[name]
    }


def _short_hash(settings: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def write_settings(store: Store, settings: FeatureSettings) -> None:
    """Store the settings of a fingerprint next to its features."""
    content = json.dumps(asdict(settings), indent=2, sort_keys=True) + "\n"
    store.write_bytes(_settings_path(settings.fingerprint), content.encode())


def list_settings(store: Store) -> dict[str, FeatureSettings]:
    """Read the settings of all fingerprints of a run; they are written before any features."""
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
        problem = f"does not hold valid settings: {error}"
    else:
        if settings.fingerprint == fingerprint:
            return settings
        problem = f"was changed: it hashes to {settings.fingerprint}"
    raise FingerprintError(
        f"{path} below {store} {problem}. Restore it, or delete these features and their outcomes."
    )


def choose_fingerprint(
    store: Store,
    wanted: str | None,
    is_meant: Callable[[FeatureSettings], bool] = lambda _: False,
) -> str:
    """Choose the features of a run that a command works on.

    Args:
        store: of the run.
        wanted: a fingerprint; None for the only one, or of several the only one that `is_meant`.
        is_meant: whether features are those that a configuration or a bundle names.

    Raises:
        ConfigError: there are none, or several to choose from, which it lists.
    """
    known = list_settings(store)
    if not known:
        if not store.exists(""):
            raise ConfigError(f"There is no run at {store}. Check its address.")
        raise ConfigError(
            f"There are no features below {store}. Run `trailergenre featurize` first."
        )
    names = "; ".join(
        f"{name} ({s.frames_per_s:g} frames/s, backbone {s.backbone_id[:12]}, {s.precision})"
        for name, s in known.items()
    )
    if wanted is None and len(known) > 1:
        meant = [name for name, settings in known.items() if is_meant(settings)]
        if len(meant) != 1:
            raise ConfigError(f"The run holds several features; choose with --features: {names}.")
        wanted = meant[0]
        log.warning("the run holds several features: %s. Using %s.", names, wanted)
    chosen = wanted or next(iter(known))
    if chosen not in known:
        raise ConfigError(f"There are no features {chosen!r} below {store}. Choose of: {names}.")
    return chosen
