"""`make reproduce` on made files of Trailers12k's layout, whose right table is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reproduce.__main__ import main
from reproduce.made import make_movies, write_trailers12k
from reproduce.measures import average_precisions, step_sum, trapezoid_area
from reproduce.recipe import CLIPS, score_windows
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from trailergenre.base.records import LinkFrames

SHORT = "prior,logistic"


def trapezoid(truth: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    precision, recall, _ = precision_recall_curve(truth, scores)
    return float(auc(recall, precision))


@pytest.mark.parametrize("decimals", [1, 2, 12])  # many ties, a few, none
def test_both_kinds_of_ap_are_scikit_learns(decimals: int) -> None:
    random = np.random.default_rng(decimals)
    truth = (random.random((120, 7)) < 0.3).astype(np.int8)
    truth[:, 0] = 0
    truth[0] = 0
    scores = np.round(0.3 * truth + random.random(truth.shape), decimals)
    for column in range(1, 7):
        one = truth[:, column], scores[:, column]
        assert abs(step_sum(*one) - average_precision_score(*one)) < 1e-9
        assert abs(trapezoid_area(*one) - trapezoid(*one)) < 1e-9
    rows = truth.any(axis=1)
    right = {
        average: average_precision_score(truth[rows][:, 1:], scores[rows][:, 1:], average=average)
        for average in ("micro", "macro", "weighted", "samples")
    }
    steps = average_precisions(truth, scores, "steps")
    assert abs(steps["mean"] - average_precision_score(truth[:, 1:], scores[:, 1:])) < 1e-9
    assert abs(steps["micro"] - average_precision_score(truth.ravel(), scores.ravel())) < 1e-9
    weights = truth[:, 1:].sum(axis=0)
    each = [trapezoid(truth[:, k], scores[:, k]) for k in range(1, 7)]
    found = average_precisions(truth, scores, "trapezoid")
    assert abs(found["weighted"] - np.average(each, weights=weights)) < 1e-9
    samples = [trapezoid(t, s) for t, s in zip(truth[rows], scores[rows], strict=True)]
    assert abs(found["sample"] - np.mean(samples)) < 1e-9
    full = average_precisions(truth[rows][:, 1:], scores[rows][:, 1:], "steps")
    assert full == pytest.approx(
        dict(zip(("micro", "mean", "weighted", "sample"), right.values(), strict=True)), abs=1e-9
    )


def reproduce(directory: Path, models: str, **options: Any) -> tuple[dict[str, Any], str]:
    """Run it; figures by model, and the page."""
    main(directory, models=models, **options)
    (out,) = (directory / "reproduce").iterdir()
    figures = json.loads((out / "figures.json").read_text())
    return {each["model"]: each["values"] for each in figures}, (out / "table.md").read_text()


@pytest.mark.slow
def test_features_that_tell_the_labels_give_the_whole_table(tmp_path: Path) -> None:
    write_trailers12k(tmp_path, make_movies(100, frames=(2, 5)))
    figures, page = reproduce(tmp_path, SHORT)
    for measure in ("micro", "mean", "weighted", "sample"):
        for kind in ("steps", "trapezoid"):
            values = figures["logistic"][kind][measure]
            assert len(values) == 3
            assert min(values) > 0.97
    assert "| trailers_i_resnet_fpc24 | logistic regression, pooled | 9" in page.replace(
        "100", "99"
    )
    assert "| Swin-3D (trailers_ik_swin) | **the paper's transformer** | 75.71 ± 2.43 |" in page


@pytest.mark.slow
def test_shuffled_labels_give_the_prior_and_a_subset_is_said(tmp_path: Path) -> None:
    movies = make_movies(250, frames=(1, 3), labels="shuffled")
    write_trailers12k(tmp_path, movies, zarr_format=3, is_zip=True)
    figures, page = reproduce(tmp_path, SHORT, subset=200)
    means = {model: np.mean(values["steps"]["mean"]) for model, values in figures.items()}
    assert abs(means["logistic"] - means["prior"]) < 0.1
    assert means["prior"] == pytest.approx(movies.truth.mean(), abs=0.05)
    assert "200 movies drawn at random (not comparable with the paper)" in page


class Frames:
    """A source of links with 1, 30, 31 and 70 frames, whose feature is the window that it is in."""

    link_ids = ("a", "b", "c", "d")
    truth = np.zeros((4, 1), np.int8)

    def stream(self, seed: int) -> Any:
        for name, n_frames in zip(self.link_ids, (1, 30, 31, 70), strict=True):
            values = (np.arange(n_frames) // CLIPS).astype(np.float32)[:, None]
            yield LinkFrames(name, values, np.arange(n_frames, dtype=np.float64)), self.truth[0]


class Mean:
    """A model that gives a window's mean feature."""

    def predict_on_batch(self, inputs: Any) -> Any:
        features, mask = inputs
        return (features * mask[..., None]).sum(axis=1) / mask.sum(axis=1)[:, None]


def test_all_windows_of_a_movie_are_averaged_without_padding() -> None:
    found = score_windows(Mean(), Frames())  # type: ignore[arg-type]
    assert found[:, 0].tolist() == [0, 0, 0.5, 1]


@pytest.mark.soak
def test_the_papers_recipe_learns_what_the_frames_tell(tmp_path: Path) -> None:
    write_trailers12k(tmp_path, make_movies(150, frames=(20, 50)))
    figures, page = reproduce(tmp_path, "recipe")
    assert min(figures["recipe"]["steps"]["mean"]) > 0.95
    assert "transformer, the paper's recipe" in page
