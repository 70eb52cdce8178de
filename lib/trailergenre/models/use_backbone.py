"""Find the network that a bundle was trained with."""

from __future__ import annotations

from pathlib import Path

from trailergenre.base.config import Config
from trailergenre.base.errors import WeightsError
from trailergenre.features.backbone import read_manifest
from trailergenre.models.bundle import Bundle

BACKBONE = "backbone"
"""Directory of a bundle that carries its network."""


def use_backbone(config: Config, bundle: Bundle) -> Config:
    """A configuration with the path of the bundle's network.

    It is looked for in the bundle, then where the configuration says, then where it was in
    training. If none of them has it, the configuration is unchanged, and its network is refused.
    """
    facts = bundle.manifest.backbone
    places = [bundle.store.local_path(BACKBONE)] if bundle.store.is_local else []
    places += [Path(config.backbone.path).expanduser(), Path(facts.path)]
    for place in places:
        try:
            manifest = read_manifest(place)
        except WeightsError:
            continue
        if (manifest.backbone_id, manifest.precision) == (facts.backbone_id, facts.precision):
            backbone = config.backbone.model_copy(update={"path": str(place)})
            return config.model_copy(update={"backbone": backbone})
    return config
