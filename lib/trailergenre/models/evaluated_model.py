"""The model that an evaluation reads: a bundle in DIR, or those of all folds in DIR/fold-0 ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import BundleError, ConfigError
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import LabelledLink, Part, check_no_leak, labelled_links
from trailergenre.models.bundle import Bundle, read_bundle
from trailergenre.models.manifest import Manifest


@dataclass(frozen=True)
class EvaluatedModel:
    """A model and its address; the bundles are in the order of the folds."""

    address: str
    bundles: tuple[Bundle, ...]

    @property
    def name(self) -> str:
        """The last component of the address."""
        place = self.address.partition("?")[0] if "://" in self.address else self.address
        return place.rstrip("/").rsplit("/", 1)[-1]

    @property
    def genres(self) -> tuple[str, ...]:
        """The modelled genres."""
        return self.bundles[0].manifest.genres

    def to_json(self) -> dict[str, object]:
        """What an evaluation's record says of the model."""
        manifest = self.bundles[0].manifest
        return {
            "address": self.address,
            "name": self.name,
            "folds": len(self.bundles),
            "sha256": [bundle.sha256 for bundle in self.bundles],
            "created_at": manifest.created_at.isoformat(timespec="seconds"),
            **manifest.model_dump(include={"model", "rows", "trainer", "not_modelled"}),
            "weights": manifest.backbone.weights,
            "frames_per_s": manifest.sampling.frames_per_s,
            "movies": manifest.training.movies,
            "shuffled_labels": manifest.training.shuffled_labels,
            "split": manifest.training.dataset.split,
            "seed": manifest.training.dataset.seed,
        }


def read_models(
    address: str, *, control: str | None, others: Sequence[str]
) -> list[EvaluatedModel]:
    """Read a model, then its control if there is one, then the models to compare it with.

    Raises:
        BundleError: a model cannot be read or compared with the first one.
        ConfigError: two of the others have the same name.
    """
    model = read_model(address)
    beside = [read_model(other) for other in others]
    check_names(beside)
    if control:
        beside.insert(0, read_model(control))
        check_control(beside[0])
    for other in beside:
        check_comparable(model, other)
    return [model, *beside]


def read_model(address: str) -> EvaluatedModel:
    """Read a bundle, or the bundles of all folds.

    Raises:
        BundleError: there is none, one is broken, a fold is missing, or the folds are not of one
            cross-validation.
    """
    store = Store(address)
    n_folds = 0
    while store.exists(f"fold-{n_folds}/manifest.json"):
        n_folds += 1
    if not n_folds:
        return EvaluatedModel(str(store), (read_bundle(store),))
    if store.exists("manifest.json"):
        raise BundleError(
            f"{store} holds a bundle and folds. Train them into two directories and name one."
        )
    bundles = [read_bundle(store.child(f"fold-{k}")) for k in range(n_folds)]
    if problem := _fold_problem(bundles):
        raise BundleError(
            f"The folds of {store} are not one cross-validation: {problem}. "
            "Train again with `trailergenre train --cross-validate`."
        )
    return EvaluatedModel(str(store), tuple(bundles))


def _fold_problem(bundles: Sequence[Bundle]) -> str | None:
    n_folds = bundles[0].manifest.training.dataset.folds
    if len(bundles) != n_folds:
        return f"it holds {len(bundles)} of {n_folds} folds"
    common = [_shared_facts(bundle.manifest) for bundle in bundles]
    differ = [name for name, fact in common[0].items() if any(c[name] != fact for c in common)]
    if differ:
        return f"they differ in {', '.join(differ)}"
    numbers = [bundle.manifest.training.dataset.fold for bundle in bundles]
    if numbers != list(range(n_folds)):
        return f"fold-0 to fold-{n_folds - 1} are folds {numbers} by their manifests"
    links, movies = zip(*(tested_ids(bundle) for bundle in bundles), strict=True)
    n_links = sum(map(len, links)) - len(set().union(*links))
    n_movies = sum(map(len, movies)) - len(set().union(*movies))
    if n_links or n_movies:
        return f"{n_movies} movies and {n_links} links are tested twice"
    return None


def _shared_facts(manifest: Manifest) -> dict[str, object]:
    """What all folds of one cross-validation have in common."""
    names = ("genres", "model", "rows", "rows_config", "trainer", "backbone", "sampling")
    return {
        **{name: getattr(manifest, name) for name in names},
        # A search may choose other values in each fold.
        "parameters": manifest.parameters if manifest.search is None else None,
        "search": manifest.search is not None,
        "dataset": manifest.training.dataset.model_copy(update={"fold": 0}),
        "shuffled_labels": manifest.training.shuffled_labels,
    }


def tested_ids(bundle: Bundle) -> tuple[set[str], set[str]]:
    """Links and movies of a bundle's test part."""
    test = bundle.split.filter(pc.equal(bundle.split["part"], Part.TEST.value))
    return set(test["link_id"].to_pylist()), set(test["movie_id"].to_pylist())


def find_test_links(bundle: Bundle, labels: pa.Table) -> list[LabelledLink]:
    """Find the bundle's test links, with the run's present labels.

    Raises:
        ConfigError: the run has none of them.
        LeakError: a test movie or link is in the training part, by the bundle's split or by the
            present labels.
    """
    split = bundle.split
    places = pc.index_in(labels["link_id"], split["link_id"].combine_chunks())
    part = labels.schema.get_field_index("part")
    labelled = labels.set_column(part, "part", split["part"].take(places))
    labelled = labelled.filter(pc.is_valid(labelled["part"]))
    present = labelled.select(split.column_names).cast(split.schema)
    check_no_leak(pa.concat_tables([split, present]))
    modelled = set(bundle.manifest.genres)
    tested = labelled.filter(pc.equal(labelled["part"], Part.TEST.value))
    test = [link for link in labelled_links(tested) if link.genres & modelled]
    if not test:
        raise ConfigError(
            "The run's labels hold none of the bundle's test links. "
            "Evaluate a bundle on the run that it was trained on."
        )
    return test


def check_control(control: EvaluatedModel) -> None:
    """Refuse a control that was trained on true labels, by a `BundleError`."""
    if not control.bundles[0].manifest.training.shuffled_labels:
        raise BundleError(
            f"The control {control.address} was trained on true labels. "
            "Train it with `trailergenre train --shuffle-labels`."
        )


def check_comparable(model: EvaluatedModel, other: EvaluatedModel) -> None:
    """Refuse two models that were not tested on the same movies, by a `BundleError`."""
    if problem := _difference(model, other):
        raise BundleError(
            f"{other.address} cannot be compared with {model.address}: {problem}. "
            "Train both on the same run with the same [dataset] settings, both with or both "
            "without --cross-validate."
        )


def _difference(model: EvaluatedModel, other: EvaluatedModel) -> str | None:
    n_folds = len(model.bundles)
    if len(other.bundles) != n_folds:
        return f"one has {n_folds} folds, the other {len(other.bundles)}"
    if other.genres != model.genres:
        return "they have other genres"
    for fold, (ours, theirs) in enumerate(zip(model.bundles, other.bundles, strict=True)):
        if tested_ids(ours) != tested_ids(theirs):
            return "they have another test part" + (f" in fold {fold}" if n_folds > 1 else "")
    return None


def check_names(models: Sequence[EvaluatedModel]) -> None:
    """Refuse two models of one name, by a `ConfigError`: names head their columns."""
    for name, count in Counter(model.name for model in models).items():
        if count > 1:
            raise ConfigError(
                f"Two models to compare are called {name!r}. Give each its own directory name."
            )
