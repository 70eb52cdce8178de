"""An evaluation as `jobs/evaluate_model.py` records it, of models that never saw a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bundles import make_bundle, make_manifest
from runs import link_id as make_link_id
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle
from trailergenre.models.calibration import Calibration, Platt
from trailergenre.models.evaluated_model import EvaluatedModel
from trailergenre.models.evaluation import ScoredFold, ScoredModel, evaluate
from trailergenre.reports.evaluation_page import render_evaluation
from trailergenre.runs import schemas

SHARES = {
    "Action": 0.24,
    "Adventure": 0.18,
    "Animation": 0.05,
    "Comedy": 0.39,
    "Crime": 0.19,
    "Documentary": 0.04,
    "Drama": 0.52,
    "Fantasy": 0.12,
    "Horror": 0.12,
    "Romance": 0.22,
    "Sci-Fi": 0.12,
    "Thriller": 0.29,
}
"""Genre -> share of movies, as in IMDB5000."""


def make_record(
    model: ScoredModel, *, control: ScoredModel | None = None, others: Sequence[ScoredModel] = ()
) -> dict[str, Any]:
    """The record of an evaluation; what no model decides is made up."""
    n_movies = sum(len(fold.truth) for fold in model.folds)
    record = evaluate(
        model,
        control=control,
        others=others,
        links=list_movies(model),
        run="runs/mine",
        features="0123456789abcdef",
        test={"movies": n_movies, "links": n_movies + 1, "links_without_features": 3},
    )
    return asdict(record) | {"created_at": "2026-01-01T00:00:00+00:00"}


def list_movies(model: ScoredModel) -> pa.Table:
    """The table `links` of a run with the model's test movies."""
    link_ids = [link_id for fold in model.folds for link_id in fold.link_ids]
    rows = [
        {
            "row": number,
            "link_id": link_id,
            "url": f"https://films.test/watch?v={number:05}",
            "title": f"A Film of the Year {1990 + number % 30}",
            "movie_id": None,
            "genres": [],
            "row_outcome": RowOutcome.READY.value,
            "detail": "",
            "other": "{}",
        }
        for number, link_id in enumerate(link_ids, start=1)
    ]
    return pa.Table.from_pylist(rows, schemas.LINKS)


def name_links(n: int, *, fold: int = 0) -> tuple[str, ...]:
    """Links of the test movies of a fold."""
    return tuple(make_link_id(f"{fold}: {number}") for number in range(n))


def evaluation_page(directory: Path, *, folds: int = 1, movies: int = 200) -> str:
    """The page of a model that knows something, beside its control and two others.

    Args:
        directory: for a bundle.
        folds: of the test.
        movies: of each fold.
    """
    bundle = _of_many_genres(make_bundle(Store(str(directory)), manifest=make_manifest()))
    rng = np.random.default_rng(2026)
    shares = np.array(list(SHARES.values()))
    truths = [_draw_movies(rng, shares, movies) for _ in range(folds)]

    def scored(address: str, strength: float) -> ScoredModel:
        parts = tuple(
            _score(rng, truth, shares, strength, bundle, fold=fold)
            for fold, truth in enumerate(truths)
        )
        return ScoredModel(EvaluatedModel(address, (bundle,) * folds), parts)

    model = scored("bundles/temporal", 1.1)
    control = scored("bundles/shuffled", 0.0)
    others = [scored("bundles/forest", 0.8), scored("bundles/logistic", 1.05)]
    record = make_record(model, control=control, others=others)
    return render_evaluation(record, neighbours={"run.html": "Run report"})


def _of_many_genres(bundle: Bundle) -> Bundle:
    shares = tuple(SHARES.values())
    manifest = bundle.manifest
    training = manifest.training.model_copy(update={"genre_shares": shares})
    more = {
        "genres": tuple(SHARES),
        "thresholds": (0.35,) * len(SHARES),
        "training": training,
        "calibration": Calibration(
            method="platt", curves=(Platt(slope=2.5, offset=0.0),) * len(SHARES), brier={}
        ),
    }
    return replace(bundle, manifest=manifest.model_copy(update=more))


def _draw_movies(rng: np.random.Generator, shares: NDArray[np.float64], n: int) -> NDArray[np.int8]:
    """Truth of n movies, each with a genre at least."""
    truth = (rng.random((n, len(shares))) < shares).astype(np.int8)
    truth[~truth.any(axis=1), int(np.argmax(shares))] = 1
    return truth


def _score(
    rng: np.random.Generator,
    truth: NDArray[np.int8],
    shares: NDArray[np.float64],
    strength: float,
    bundle: Bundle,
    *,
    fold: int,
) -> ScoredFold:
    """Log-odds of the prior, moved by noise and, as strongly as the model knows, by the truth."""
    evidence = strength * (truth - shares) * strength + strength * rng.normal(size=truth.shape)
    odds = np.log(shares / (1 - shares)) + (evidence if strength else rng.normal(size=truth.shape))
    calibrated = 1 / (1 + np.exp(-odds))
    raw = 1 / (1 + np.exp(-0.4 * odds))
    return ScoredFold(bundle, name_links(len(truth), fold=fold), truth, raw, calibrated)
