from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bundles import make_bundle, make_manifest
from runs import labelled, labels_table
from trailergenre.base.config import DatasetConfig, ForestConfig, RowsConfig
from trailergenre.base.errors import BundleError, ConfigError, LeakError
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle
from trailergenre.models.evaluated_model import (
    EvaluatedModel,
    check_comparable,
    check_control,
    check_names,
    find_test_links,
    read_model,
)
from trailergenre.models.manifest import Manifest, SearchFacts, Trial
from trailergenre.runs.tables import to_parquet

PARTS = {"a": "train", "b": "validation", "c": "test", "d": "test"}


def of_folds(folds: int, *, fold: int = 0, shuffled: bool = False) -> Manifest:
    manifest = make_manifest(shuffled=shuffled)
    dataset = DatasetConfig(folds=folds, fold=fold)
    training = manifest.training.model_copy(update={"dataset": dataset})
    return manifest.model_copy(update={"training": training})


def parts_of(fold: int) -> dict[str, str]:
    """Six movies, two of them tested in each of three folds."""
    return {name: "test" if i % 3 == fold else "train" for i, name in enumerate("abcdef")}


def write_folds(
    directory: Path, *, parts: Mapping[int, dict[str, str]] | None = None, shuffled: bool = False
) -> str:
    for fold in range(3):
        make_bundle(
            Store(str(directory / f"fold-{fold}")),
            parts=(parts or {}).get(fold, parts_of(fold)),
            manifest=of_folds(3, fold=fold, shuffled=shuffled),
        )
    return str(directory)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(Store(str(tmp_path / "bundle")), parts=PARTS)


def test_test_links_are_those_of_the_bundle(bundle: Bundle) -> None:
    links = [labelled(name, ["Action"]) for name in "abcdx"]
    found = find_test_links(bundle, labels_table(links))
    assert sorted(link.movie_id for link in found) == ["tt-c", "tt-d"]


def test_a_test_movie_that_was_trained_on_is_refused(bundle: Bundle) -> None:
    # The label of c was mended since: it is the movie of a.
    links = [labelled("a", ["Action"]), labelled("c", ["Action"], "tt-a")]
    with pytest.raises(LeakError, match="tt-a"):
        find_test_links(bundle, labels_table(links))


def test_a_split_with_a_leak_is_refused(tmp_path: Path) -> None:
    leaky = make_bundle(Store(str(tmp_path)), parts={"a": "train", "b": "test"})
    split = leaky.split.set_column(1, "movie_id", [["tt-a", "tt-a"]])
    with pytest.raises(LeakError):
        find_test_links(
            replace(leaky, split_content=to_parquet(split)),
            labels_table([labelled("x", ["Action"])]),
        )


def test_another_runs_labels_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="none of the bundle's test links"):
        find_test_links(bundle, labels_table([labelled("x", ["Action"])]))


def test_a_bundle_is_read_alone_and_folds_in_their_order(tmp_path: Path, bundle: Bundle) -> None:
    alone = read_model(str(tmp_path / "bundle"))
    assert (alone.bundles[0].sha256, alone.name) == (bundle.sha256, "bundle")
    found = read_model(write_folds(tmp_path / "folds") + "/")
    assert [b.manifest.training.dataset.fold for b in found.bundles] == [0, 1, 2]
    assert found.name == "folds"


def test_a_missing_fold_is_refused(tmp_path: Path) -> None:
    address = write_folds(tmp_path / "folds")
    Store(f"{address}/fold-2").delete("manifest.json")
    with pytest.raises(BundleError, match="2 of 3 folds"):
        read_model(address)


def test_nothing_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle"):
        read_model(str(tmp_path))


def test_a_bundle_among_folds_is_refused(tmp_path: Path) -> None:
    address = write_folds(tmp_path / "folds")
    make_bundle(Store(address), parts=PARTS)
    with pytest.raises(BundleError, match="holds a bundle and folds"):
        read_model(address)


def test_a_movie_that_two_folds_test_is_refused(tmp_path: Path) -> None:
    address = write_folds(tmp_path / "folds", parts={1: {**parts_of(1), "a": "test"}})
    with pytest.raises(BundleError, match="1 movies and 1 links are tested twice"):
        read_model(address)


SAMPLING = make_manifest().sampling.model_copy(update={"frames_per_s": 2.0})
BACKBONE = make_manifest().backbone.model_copy(update={"precision": "int8"})


@pytest.mark.parametrize(
    ("fact", "other"),
    [
        ("trainer", "sklearn"),
        ("rows_config", RowsConfig(span="middle")),
        ("backbone", BACKBONE),
        ("sampling", SAMPLING),
        ("parameters", ForestConfig(trees=7)),
        ("genres", ("Comedy", "Action", "Drama", "Horror")),
    ],
)
def test_folds_of_two_trainings_are_refused(tmp_path: Path, fact: str, other: object) -> None:
    address = write_folds(tmp_path)
    changed = of_folds(3, fold=1).model_copy(update={fact: other})
    make_bundle(Store(f"{address}/fold-1"), parts=parts_of(1), manifest=changed)
    with pytest.raises(BundleError, match=rf"they differ in {fact}\."):
        read_model(address)


def test_folds_of_another_seed_or_in_another_place_are_refused(tmp_path: Path) -> None:
    address = write_folds(tmp_path)
    facts = of_folds(3, fold=1).training
    dataset = facts.dataset.model_copy(update={"seed": 11})
    changed = make_manifest().model_copy(
        update={"training": facts.model_copy(update={"dataset": dataset})}
    )
    make_bundle(Store(f"{address}/fold-1"), parts=parts_of(1), manifest=changed)
    with pytest.raises(BundleError, match="they differ in dataset"):
        read_model(address)
    make_bundle(Store(f"{address}/fold-1"), parts=parts_of(1), manifest=of_folds(3, fold=2))
    with pytest.raises(BundleError, match=r"are folds \[0, 2, 2\] by their manifests"):
        read_model(address)


def test_a_search_may_find_other_parameters_in_each_fold(tmp_path: Path) -> None:
    trial = Trial(parameters={"trees": 7}, mean_ap=0.3, spread=0.1)
    for fold in range(3):
        found = {
            "parameters": ForestConfig(trees=7 + fold),
            "search": SearchFacts(seed=7, folds=3, trials=(trial,)),
        }
        manifest = of_folds(3, fold=fold).model_copy(update=found)
        make_bundle(Store(f"{tmp_path}/fold-{fold}"), parts=parts_of(fold), manifest=manifest)
    assert len(read_model(str(tmp_path)).bundles) == 3


def test_a_control_must_have_learned_from_shuffled_labels(tmp_path: Path) -> None:
    check_control(read_model(write_folds(tmp_path / "shuffled", shuffled=True)))
    with pytest.raises(BundleError, match="true labels"):
        check_control(read_model(write_folds(tmp_path / "folds")))


def test_models_of_other_test_parts_do_not_stand_side_by_side(tmp_path: Path) -> None:
    model = read_model(write_folds(tmp_path / "model"))
    check_comparable(model, read_model(write_folds(tmp_path / "same")))
    turned = {0: parts_of(1), 1: parts_of(0)}
    other = read_model(write_folds(tmp_path / "other", parts=turned))
    with pytest.raises(BundleError, match="another test part in fold 0"):
        check_comparable(model, other)
    alone = make_bundle(Store(str(tmp_path / "alone")), parts=PARTS)
    with pytest.raises(BundleError, match="one has 3 folds, the other 1"):
        check_comparable(model, EvaluatedModel("alone", (alone,)))


def test_models_of_other_genres_do_not_stand_side_by_side(tmp_path: Path, bundle: Bundle) -> None:
    turned = make_manifest().model_copy(update={"genres": ("Comedy", "Action", "Drama", "Horror")})
    other = make_bundle(Store(str(tmp_path / "other")), parts=PARTS, manifest=turned)
    with pytest.raises(BundleError, match="other genres"):
        check_comparable(EvaluatedModel("ours", (bundle,)), EvaluatedModel("theirs", (other,)))


def test_two_models_of_one_name_cannot_be_told_apart(bundle: Bundle) -> None:
    names = [EvaluatedModel(address, (bundle,)) for address in ("runs/a/lr", "runs/b/lr")]
    with pytest.raises(ConfigError, match="'lr'"):
        check_names(names)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://bucket/models/head?endpoint_override=127.0.0.1:9000/", "head"),
        ("/models/what?/head/", "head"),
    ],
)
def test_a_model_is_named_by_its_directory(address: str, name: str) -> None:
    assert EvaluatedModel(address, ()).name == name
