"""Find the network that a bundle was trained with."""

from __future__ import annotations

from trailergenre.base.config import Config
from trailergenre.base.errors import WeightsError
from trailergenre.features.backbone import read_manifest
from trailergenre.features.backbone.artefact import MANIFEST_FILE, local_backbone
from trailergenre.features.settings import network_precision
from trailergenre.models.bundle import Bundle, check_network

BACKBONE = "backbone"
"""Directory of a bundle that carries its network."""


def use_backbone(config: Config, bundle: Bundle) -> Config:
    """A configuration with the path of the bundle's network.

    It is looked for in the bundle, then where the configuration says, then where it was in
    training. If those have other networks, the configuration is unchanged, and its network is
    refused later.

    Raises:
        WeightsError: there is no network at all.
        BundleError: the bundle is of external features.
    """
    check_network(bundle)
    facts = bundle.manifest.backbone
    wanted = (facts.backbone_id, network_precision(facts.precision))
    places = [str(bundle.store.child(BACKBONE)), config.backbone.path]
    # Somebody else's bundle must not make this machine connect anywhere.
    places += [facts.path] if "://" not in facts.path else []
    problems = {}
    for place in places:
        try:
            manifest = read_manifest(local_backbone(place))
        except WeightsError as error:
            problems[place] = error.problem
            continue
        if (manifest.backbone_id, manifest.precision) == wanted:
            backbone = config.backbone.model_copy(update={"path": place})
            return config.model_copy(update={"backbone": backbone})
    if len(problems) == len(set(places)):
        raise WeightsError(
            f"The bundle needs the network {facts.backbone_id[:12]}, which gives {facts.width} "
            f"features a frame. {problems[config.backbone.path]}",
            "Give its directory: --set backbone.path=DIR",
        )
    return config


def carry_backbone(bundle: Bundle, config: Config) -> None:
    """Copy the bundle's network into it, so that it is one folder to carry.

    Raises:
        WeightsError: the configured network is not the bundle's.
    """
    place = use_backbone(config, bundle).backbone.path
    manifest = read_manifest(local_backbone(place))
    if manifest.backbone_id != bundle.manifest.backbone.backbone_id:
        raise WeightsError(
            f"The bundle's network {bundle.manifest.backbone.backbone_id[:12]} is not in {place}.",
            "Give its directory: --set backbone.path=DIR",
        )
    source = local_backbone(place, *manifest.files)
    for name in (*manifest.files, MANIFEST_FILE):
        bundle.store.write_bytes(f"{BACKBONE}/{name}", (source / name).read_bytes())
