from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bundles import make_bundle, make_manifest
from evaluated import list_movies, name_links
from runs import GENRES, labelled
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle
from trailergenre.models.calibration import Calibration, Platt, no_calibration
from trailergenre.models.evaluated_model import EvaluatedModel
from trailergenre.models.evaluation import (
    ScoredFold,
    ScoredModel,
    evaluate,
    find_notes,
    merge_fold,
    print_evaluation,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(Store(str(tmp_path / "bundle")))


def movies(n: int, seed: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Truth of n movies, and the kind of video that each is: the first genre of its own."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 4
    truth = np.eye(4, dtype=np.int8)[kinds]
    truth |= (rng.random((n, 4)) < 0.1).astype(np.int8)
    return truth, kinds


def scored(bundle: Bundle, *folds: tuple[NDArray[np.int8], NDArray[np.float64]]) -> ScoredModel:
    """A model and what it says of each fold's movies."""
    tested = tuple(
        ScoredFold(bundle, name_links(len(truth), fold=number), truth, scores, scores)
        for number, (truth, scores) in enumerate(folds)
    )
    return ScoredModel(EvaluatedModel("bundles/mine", (bundle,) * len(folds)), tested)


def know(truth: NDArray[np.int8], *, share: float = 0.6, seed: int = 2) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).random(truth.shape)
    return np.clip(share * truth + (1 - share) * noise, 0, 1)


def judge(model: ScoredModel, **given: Any) -> dict[str, Any]:
    counts = {"movies": 1, "links": 1, "links_without_features": 0}
    named = {"links": list_movies(model), "run": "runs/mine", "features": "0" * 16, "test": counts}
    return asdict(evaluate(model, **{"control": None, "others": [], **named, **given}))


def test_the_links_of_a_movie_are_merged_calibrated(bundle: Bundle) -> None:
    curves = (Platt(slope=1.0, offset=1.0),) * 4
    calibration = Calibration(method="platt", curves=curves, brier={})
    bent = replace(bundle, manifest=bundle.manifest.model_copy(update={"calibration": calibration}))
    links = [
        labelled("a", ["Action"], "tt2"),
        labelled("b", ["Drama"], "tt2"),
        labelled("c", ["Horror"]),
    ]
    raw = np.array([[0.2, 0.4, 0.5, 0.5], [0.6, 0.2, 0.5, 0.5], [0.9, 0.5, 0.5, 0.5]])
    found = merge_fold(bent, links, raw)
    assert found.truth.tolist() == [[0, 0, 0, 1], [1, 0, 1, 0]]
    assert found.link_ids == (links[2].link_id, links[0].link_id)
    np.testing.assert_allclose(found.raw[:, :2], [[0.9, 0.5], [0.4, 0.3]])
    expected = calibration.apply(raw)
    np.testing.assert_allclose(found.probabilities, [expected[2], expected[:2].mean(axis=0)])


def test_a_model_that_knows_beats_and_one_that_guesses_does_not(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    model = scored(bundle, (truth, know(truth)))
    guesses = scored(bundle, (truth, np.random.default_rng(2).random(truth.shape)))
    record = judge(model, control=guesses)
    assert record["beats_prior"] == {"model": True, "control": False}
    baselines = {"prior", "majority", "random"}
    assert set(record["models"]) == {"model", "control", "uncalibrated", *baselines}
    assert dict(record["columns"])["control"] == "shuffled labels"


@pytest.mark.parametrize(("n", "verdict"), [(19, None), (20, True)])
def test_a_verdict_needs_twenty_test_movies_over_all_folds(
    n: int, verdict: bool | None, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = [np.eye(4, dtype=np.int8)[np.arange(size) % 4] for size in (8, n - 8)]
    model = scored(bundle, *((truth, know(truth)) for truth in folds))
    evaluation = evaluate(
        model,
        control=None,
        others=[model],
        links=list_movies(model),
        run="runs/mine",
        features="0" * 16,
        test={"movies": n, "links": n, "links_without_features": 0},
    )
    assert evaluation.summary()["beats_prior"] == {"model": verdict, "other-1": verdict}
    print_evaluation(evaluation)
    printed = capsys.readouterr().err
    assert ("19 are too few test movies to say which is better" in printed) is (verdict is None)
    assert ("beats prior" in printed) is (verdict is not None)


def test_telling_videos_apart_without_knowing_genres_is_not_enough(bundle: Bundle) -> None:
    """Each kind of video gets its own random scores; by luck many rank above random scores."""
    passed_random = passed_all = 0
    for seed in range(10):
        truth, kinds = movies(30, seed)
        scores = np.random.default_rng(seed).random((4, 4))[kinds]
        record = judge(scored(bundle, (truth, scores)))
        passed_random += record["models"]["model"]["mean_ap"] > record["random"]["mean_ap_p95"]
        passed_all += record["beats_prior"]["model"]
    assert passed_random >= 4
    assert passed_all <= 1


def test_baselines_are_what_they_say(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    models = judge(scored(bundle, (truth, truth.astype(float))))["models"]
    assert models["prior"]["mean_ap"] == pytest.approx(truth.mean(axis=0).mean())
    assert models["prior"]["macro_auc"] == 0.5
    hits = truth[:, :3].sum(axis=1)  # genre_shares fall with the column
    assert models["majority"]["precision_at_3"] == pytest.approx(hits.mean() / 3)
    assert [g["genre"] for g in models["model"]["genres"]] == list(GENRES)
    assert set(models["random"]) == set(models["model"])
    assert models["random"]["macro_auc"] == pytest.approx(0.5, abs=0.1)
    assert models["random"]["brier"] == pytest.approx(1 / 3, abs=0.05)


def test_over_folds_each_figure_is_a_mean_with_its_spread(bundle: Bundle) -> None:
    folds = [movies(n, seed=n)[0] for n in (32, 36, 40)]
    record = judge(scored(bundle, *((truth, know(truth, share=0.3)) for truth in folds)))
    model = record["models"]["model"]
    aps = [fold["mean_ap"] for fold in model["folds"]]
    assert len(set(aps)) == 3
    assert model["mean_ap"] == pytest.approx(np.mean(aps))
    assert model["std"]["mean_ap"] == pytest.approx(np.std(aps, ddof=1))
    action = model["genres"][0]
    assert (action["genre"], action["n"]) == ("Action", sum(t[:, 0].sum() for t in folds))
    assert action["std"]["ap"] > 0
    assert record["models"]["prior"]["std"]["mean_ap"] > 0
    assert model["movies"] == 108


def test_of_one_fold_there_is_no_spread(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    model = judge(scored(bundle, (truth, know(truth))))["models"]["model"]
    assert set(model["std"].values()) == {None}


def test_another_model_is_compared_by_movies_within_folds(bundle: Bundle) -> None:
    folds = [movies(n, seed=n)[0] for n in (60, 64)]
    better = scored(bundle, *((truth, know(truth, share=0.4)) for truth in folds))
    worse = scored(bundle, *((truth, know(truth, share=0.1, seed=5)) for truth in folds))
    record = judge(better, others=[worse])
    found = {each["measure"]: each for each in record["comparisons"]}
    assert set(found) == {"mean_ap", "micro_ap", "sample_ap", "precision_at_3", "macro_auc"}
    models = record["models"]
    difference = models["model"]["mean_ap"] - models["other-1"]["mean_ap"]
    assert found["mean_ap"]["difference"] == pytest.approx(difference)
    assert found["mean_ap"]["low"] > 0
    assert found["mean_ap"]["other"] == "mine"
    assert found["mean_ap"]["movies"] == 124


def test_sets_of_genres_are_measured_where_all_are_modelled(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"two": ("Action", "Drama"), "unknown": ("Action", "Western")}
    monkeypatch.setattr("trailergenre.models.evaluation.GENRE_SETS", sets)
    truth, _ = movies(40, seed=1)
    (found,) = judge(scored(bundle, (truth, know(truth))))["genre_sets"]
    kept = truth[truth[:, [0, 2]].any(axis=1)][:, [0, 2]]
    assert (found["name"], found["movies"]) == ("two", len(kept))
    assert set(found["models"]) == {"model", "prior"}
    assert found["models"]["prior"]["mean_ap"] == pytest.approx(kept.mean(axis=0).mean())


def test_calibrated_figures_stand_beside_raw_ones(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    fold = ScoredFold(bundle, name_links(40), truth, raw=1 - know(truth), probabilities=know(truth))
    record = judge(ScoredModel(EvaluatedModel("mine", (bundle,)), (fold,)))
    assert record["models"]["model"]["brier"] < record["models"]["uncalibrated"]["brier"]
    assert record["calibration"] == {"none": 1}


def test_raw_probabilities_have_no_f1_of_thresholds_that_are_not_theirs(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    models = judge(scored(bundle, (truth, know(truth)), (truth, know(truth))))["models"]
    raw, model = models["uncalibrated"], models["model"]
    dropped = {"macro_f1", "micro_f1"}
    assert set(model) - set(raw) == set(model["folds"][1]) - set(raw["folds"][1]) == dropped
    assert set(model["std"]) - set(raw["std"]) == dropped
    assert set(model["genres"][0]) - set(raw["genres"][0]) == {"f1", "threshold"}
    assert model["macro_f1"] > 0


@pytest.mark.parametrize(("trained", "said"), [(3000, True), (80, False)])
def test_figures_too_good_for_so_many_movies_are_doubted(
    bundle: Bundle, trained: int, said: bool
) -> None:
    manifest = make_manifest()
    facts = manifest.training.model_copy(update={"movies": {"train": trained}})
    many = replace(bundle, manifest=manifest.model_copy(update={"training": facts}))
    truth, _ = movies(40, seed=1)
    notes = find_notes(scored(many, (truth, truth.astype(float))))
    assert any("look for a leak" in note for note in notes) == said


def test_the_worst_movies_are_named_and_judged_by_the_thresholds_of_their_fold(
    bundle: Bundle,
) -> None:
    strict = replace(bundle, manifest=bundle.manifest.model_copy(update={"thresholds": (0.9,) * 4}))
    truth = np.eye(4, dtype=np.int8)
    scores = truth * 0.8
    folds = tuple(
        ScoredFold(each, name_links(4, fold=number), truth, scores, scores)
        for number, each in enumerate((bundle, strict))
    )
    model = ScoredModel(EvaluatedModel("mine", (bundle, strict)), folds)
    record = judge(model)
    assert [movie["link_id"] for movie in record["worst"]] == list(name_links(4, fold=1))
    assert record["worst"][0]["url"] == "https://films.test/watch?v=00005"
    assert record["worst"][0]["genres"] == [
        {"genre": "Action", "probability": 0.8, "is_true": True, "is_predicted": False}
    ]
    assert record["confusion"]["missed"] == [1, 1, 1, 1]


def test_what_each_fold_warns_of_is_said_once(tmp_path: Path) -> None:
    random = make_bundle(Store(str(tmp_path)), manifest=make_manifest(weights="random(seed=7)"))
    truth, _ = movies(20, seed=1)
    notes = find_notes(scored(random, *[(truth, know(truth, share=0.1))] * 2))
    assert len(notes) == 1
    assert "weights are random" in notes[0]


def test_curves_are_the_models_over_all_folds(bundle: Bundle) -> None:
    folds = [movies(n, seed=n)[0] for n in (20, 24)]
    scores = [know(truth) for truth in folds]
    tested = zip(folds, scores, strict=True)
    model = tuple(
        ScoredFold(bundle, name_links(len(truth), fold=len(truth)), truth, found / 2, found)
        for truth, found in tested
    )
    curves = judge(ScoredModel(EvaluatedModel("mine", (bundle, bundle)), model))["curves"]
    assert len(curves["genres"]) == 4
    truth = np.concatenate(folds)
    assert curves["genres"][0]["share"] == pytest.approx(truth[:, 0].mean(), abs=1e-4)
    for name, probabilities in (("reliability", 1), ("reliability_raw", 0.5)):
        seen = [bin for bin in curves[name] if bin["n"]]
        assert sum(bin["n"] for bin in seen) == truth.size
        assert max(bin["probability"] for bin in seen) <= probabilities


def test_the_record_is_what_json_holds(bundle: Bundle) -> None:
    def check(value: object) -> None:
        assert isinstance(value, dict | list | str | int | float | bool | None)
        assert not isinstance(value, np.generic)
        inner = value.values() if isinstance(value, Mapping) else value
        for each in inner if isinstance(value, dict | list) else []:  # type: ignore[union-attr]
            check(each)

    truth, _ = movies(20, seed=1)
    check(judge(scored(bundle, (truth, know(truth)))))


def of_genres(bundle: Bundle, n: int) -> Bundle:
    """The same bundle with its first genres alone."""
    manifest = bundle.manifest
    training = manifest.training.model_copy(
        update={"genre_shares": manifest.training.genre_shares[:n]}
    )
    fewer = {
        "genres": GENRES[:n],
        "thresholds": manifest.thresholds[:n],
        "training": training,
        "calibration": no_calibration(n),
    }
    return replace(bundle, manifest=manifest.model_copy(update=fewer))


@pytest.mark.parametrize(
    "truth",
    [np.eye(4, dtype=np.int8)[:3], np.ones((5, 1), np.int8), np.ones((1, 4), np.int8)],
    ids=["three movies", "one genre", "one movie"],
)
def test_few_movies_are_compared_by_what_they_have(bundle: Bundle, truth: NDArray[np.int8]) -> None:
    known = of_genres(bundle, truth.shape[1])
    model, other = (scored(known, (truth, know(truth, share=s))) for s in (0.4, 0.2))
    record = judge(model, others=[other])
    json.dumps(record, allow_nan=False)
    compared = {found["measure"] for found in record["comparisons"]}
    has_area = record["models"]["model"]["macro_auc"] is not None
    assert ("macro_auc" in compared) == has_area == (len(truth) == 3)
    assert "mean_ap" in compared
