from __future__ import annotations

from pathlib import Path

import pytest

from bundles import make_bundle, manifest_for
from trailergenre.base.config import BackboneConfig, Config
from trailergenre.base.errors import BundleError, WeightsError
from trailergenre.base.storage import Store
from trailergenre.models.use_backbone import use_backbone


@pytest.mark.parametrize("precision", ["fp32", "mixed_float16"])
def test_the_network_is_found_where_it_was_in_training(
    precision: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    manifest = manifest_for(tiny_backbone)
    facts = manifest.backbone.model_copy(
        update={"precision": precision, "path": str(tiny_backbone)}
    )
    manifest = manifest.model_copy(update={"backbone": facts})
    bundle = make_bundle(Store(str(tmp_path / "bundle")), manifest=manifest)
    elsewhere = Config(backbone=BackboneConfig(path=str(tmp_path / "none")))
    assert use_backbone(elsewhere, bundle).backbone.path == str(tiny_backbone)


def test_without_any_network_the_message_names_the_one_that_is_needed(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    """Exporting another one, as the backbone's own message proposes, would not help."""
    bundle = make_bundle(Store(str(tmp_path / "bundle")), manifest=manifest_for(tiny_backbone))
    config = Config(backbone=BackboneConfig(path=str(tmp_path / "none")))
    backbone_id = bundle.manifest.backbone.backbone_id[:12]
    with pytest.raises(
        WeightsError,
        match=rf"needs the network {backbone_id}, which gives 2048 features a frame\. There is no "
        rf"backbone in {tmp_path}/none\. Give its directory: --set backbone\.path=DIR",
    ):
        use_backbone(config, bundle)


def test_a_bundle_of_external_features_asks_for_no_network(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    manifest = manifest_for(tiny_backbone)
    facts = manifest.backbone.model_copy(update={"backbone_id": "published:trailers12k"})
    manifest = manifest.model_copy(update={"backbone": facts})
    bundle = make_bundle(Store(str(tmp_path / "bundle")), manifest=manifest)
    with pytest.raises(BundleError, match=r"external features.* scores those alone"):
        use_backbone(Config(backbone=BackboneConfig(path=str(tmp_path / "none"))), bundle)
