from __future__ import annotations

from pathlib import Path

import pytest

from bundles import make_bundle, manifest_for
from trailergenre.base.config import BackboneConfig, Config
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
