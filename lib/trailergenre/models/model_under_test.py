"""An address to the model that is tested: one bundle, or one for each fold of a cross-validation.

    DIR/manifest.json ...      one bundle, tested on its own test part
    DIR/fold-0, fold-1 ...     one a fold, each tested on its own: every movie is tested once

Knows nothing of features or figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from trailergenre.base.errors import BundleError, ConfigError
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import LabelledLink, Part, check_no_leak, labelled_links
from trailergenre.models.bundle import Bundle, read_bundle
from trailergenre.models.manifest import Manifest


@dataclass(frozen=True)
class Candidate:
    """One model that is tested.

    Attributes:
        address: where it lies.
        bundles: one, or one a fold in the order of the folds.
    """

    address: str
    bundles: tuple[Bundle, ...]

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.address.rstrip("/").rsplit("/", 1)[-1]

    @property
    def genres(self) -> tuple[str, ...]:
        """What it models."""
        return self.bundles[0].manifest.genres


def read_candidate(address: str) -> Candidate:
    """Read a bundle, or the bundles of all folds.

    Raises:
        BundleError: there is none, one is broken, a fold is missing, or they do not belong
            together.
    """
    store = Store(address)
    n_found = 0
    while store.exists(f"fold-{n_found}/manifest.json"):
        n_found += 1
    if not n_found:
        return Candidate(str(store), (read_bundle(store),))
    if store.exists("manifest.json"):
        raise BundleError(
            f"{store} holds a bundle and folds: which is meant? Train them into two directories."
        )
    bundles = [read_bundle(Store(f"{address.rstrip('/')}/fold-{k}")) for k in range(n_found)]
    found = Candidate(str(store), tuple(bundles))
    _check_folds(found)
    return found


def _check_folds(found: Candidate) -> None:
    """Refuse folds that are not one cross-validation."""
    wanted = found.bundles[0].manifest.training.dataset.folds
    if len(found.bundles) != wanted:
        raise BundleError(
            f"{found.address} holds {len(found.bundles)} of {wanted} folds. "
            "Train again: jobs/train_model.py --cross-validate."
        )
    trainings = [_training_of(bundle.manifest) for bundle in found.bundles]
    differ = [
        name for name, fact in trainings[0].items() if any(t[name] != fact for t in trainings)
    ]
    if differ:
        raise BundleError(
            f"The folds of {found.address} are not of one cross-validation: they differ in "
            f"{', '.join(differ)}. Train again with --cross-validate."
        )
    numbers = [bundle.manifest.training.dataset.fold for bundle in found.bundles]
    if numbers != list(range(wanted)):
        raise BundleError(
            f"fold-0 to fold-{wanted - 1} below {found.address} say that they are folds {numbers}. "
            "Train again with --cross-validate."
        )
    tested = [tested_ids(bundle) for bundle in found.bundles]
    n_links = sum(len(links) for links, _ in tested)
    n_movies = sum(len(movies) for _, movies in tested)
    links = set().union(*(links for links, _ in tested))
    movies = set().union(*(movies for _, movies in tested))
    if len(links) < n_links or len(movies) < n_movies:
        raise BundleError(
            f"The folds of {found.address} are not of one cross-validation: "
            f"{n_movies - len(movies)} movies and "
            f"{n_links - len(links)} links tested twice. Train again with --cross-validate."
        )


def _training_of(manifest: Manifest) -> dict[str, object]:
    """What the folds of one cross-validation have in common."""
    return {
        "genres": manifest.genres,
        "model": manifest.model,
        "rows": manifest.rows,
        "rows_config": manifest.rows_config,
        "trainer": manifest.trainer,
        # A search may find other values in each fold.
        "parameters": manifest.parameters if manifest.search is None else None,
        "search": manifest.search is not None,
        "backbone": manifest.backbone,
        "sampling": manifest.sampling,
        "dataset": manifest.training.dataset.model_copy(update={"fold": 0}),
        "shuffled_labels": manifest.training.shuffled_labels,
    }


def tested_ids(bundle: Bundle) -> tuple[set[str], set[str]]:
    """Links and movies of a bundle's test part."""
    rows = [row for row in bundle.split.to_pylist() if row["part"] == Part.TEST]
    return {row["link_id"] for row in rows}, {row["movie_id"] for row in rows}


def find_test_links(bundle: Bundle, labels: pa.Table) -> list[LabelledLink]:
    """Find the bundle's test links as the run labels them now.

    Raises:
        ConfigError: the run has none of them.
        LeakError: a test movie or link stands in the training part, by the bundle's split or by
            the labels as they are now.
    """
    part_of = dict(
        zip(bundle.split["link_id"].to_pylist(), bundle.split["part"].to_pylist(), strict=True)
    )
    split = [
        (LabelledLink(row["link_id"], row["movie_id"], frozenset()), row["part"])
        for row in bundle.split.to_pylist()
    ]
    labelled = [(link, part_of.get(link.link_id)) for link in labelled_links(labels)]
    known = [(link, part) for link, part in split + labelled if part is not None]
    check_no_leak(
        (link for link, part in known if part != Part.TEST),
        (link for link, part in known if part == Part.TEST),
    )
    modelled = set(bundle.manifest.genres)
    test = [link for link, part in labelled if part == Part.TEST and link.genres & modelled]
    if not test:
        raise ConfigError(
            "The run's labels hold none of the bundle's test links. "
            "Evaluate a bundle on the run that it was trained on."
        )
    return test


def check_control(control: Candidate) -> None:
    """Refuse a control that knows something.

    Raises:
        BundleError: it was trained on true labels.
    """
    if not control.bundles[0].manifest.training.shuffled_labels:
        raise BundleError(
            f"The control {control.address} was trained on true labels. "
            "Train it with jobs/train_model.py --shuffle-labels."
        )


def check_pair(model: Candidate, other: Candidate) -> None:
    """Refuse to put two models side by side that were not tested on the same movies.

    Raises:
        BundleError: says what differs.
    """
    problem = _difference(model, other)
    if problem:
        raise BundleError(
            f"{other.address} cannot stand beside {model.address}: {problem}. "
            "Train both on the same run with the same [dataset] settings, both with or both "
            "without --cross-validate."
        )


def _difference(model: Candidate, other: Candidate) -> str | None:
    if len(other.bundles) != len(model.bundles):
        return f"one has {len(model.bundles)} folds, the other {len(other.bundles)}"
    if other.genres != model.genres:
        return "they have other genres"
    for fold, (ours, theirs) in enumerate(zip(model.bundles, other.bundles, strict=True)):
        if tested_ids(ours) != tested_ids(theirs):
            where = f" in fold {fold}" if len(model.bundles) > 1 else ""
            return f"they have another test part{where}"
    return None


def check_names(candidates: Sequence[Candidate]) -> None:
    """Refuse two models under one name: no reader could tell their columns apart.

    Raises:
        ConfigError: names it.
    """
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two of the models to be compared are called {name!r}. Give each its own "
                "directory name."
            )


def describe_candidate(candidate: Candidate) -> dict[str, object]:
    """What a report says of a model."""
    first = candidate.bundles[0]
    manifest = first.manifest
    return {
        "address": candidate.address,
        "name": candidate.name,
        "folds": len(candidate.bundles),
        "sha256": [bundle.sha256 for bundle in candidate.bundles],
        "created_at": manifest.created_at.isoformat(timespec="seconds"),
        "model": manifest.model,
        "rows": manifest.rows,
        "trainer": manifest.trainer,
        "weights": manifest.backbone.weights,
        "frames_per_s": manifest.sampling.frames_per_s,
        "movies": manifest.training.movies,
        "not_modelled": manifest.not_modelled,
        "shuffled_labels": manifest.training.shuffled_labels,
        "split": manifest.training.dataset.split,
        "seed": manifest.training.dataset.seed,
    }
