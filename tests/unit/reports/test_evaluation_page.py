from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundles import make_bundle, make_manifest
from evaluated import make_record, name_links
from parsed import Page, assert_stands_alone
from reported import TITLE, URL
from trailergenre.base.storage import Store
from trailergenre.metrics.format import MEASURES
from trailergenre.models.bundle import Bundle
from trailergenre.models.evaluated_model import EvaluatedModel
from trailergenre.models.evaluation import ScoredFold, ScoredModel
from trailergenre.reports.evaluation_page import render_evaluation

ADDRESS = "bundles/<script>alert(1)</script>"


def scored(
    bundle: Bundle, address: str, *, folds: int, knows: float, movies: int = 20
) -> ScoredModel:
    """A model on some movies a fold; none of them is of the last genre."""
    truth = np.eye(4, dtype=np.int8)[np.arange(movies) % 3]
    noise = [np.random.default_rng(fold).random(truth.shape) for fold in range(folds)]
    scores = [knows * truth + (1 - knows) * found for found in noise]
    tested = tuple(
        ScoredFold(bundle, name_links(movies, fold=fold), truth, found / 2, found)
        for fold, found in enumerate(scores)
    )
    return ScoredModel(EvaluatedModel(address, (bundle,) * folds), tested)


def record(
    tmp_path: Path,
    *,
    control: bool = False,
    others: bool = False,
    folds: int = 1,
    movies: int = 20,
    knows: float = 0.9,
) -> dict[str, Any]:
    bundle = make_bundle(Store(str(tmp_path)), manifest=make_manifest(weights="random(seed=7)"))
    model = scored(bundle, ADDRESS, folds=folds, knows=knows, movies=movies)
    sizes = {"folds": folds, "movies": movies}
    shuffled = scored(bundle, "bundles/control", knows=0.0, **sizes) if control else None
    beside = [scored(bundle, "bundles/plain", knows=0.3, **sizes)] if others else []
    return make_record(model, control=shuffled, others=beside)


@pytest.mark.parametrize("given", [{}, {"control": True, "others": True, "folds": 2}])
def test_the_page_stands_alone(tmp_path: Path, given: dict[str, Any]) -> None:
    page = assert_stands_alone(render_evaluation(record(tmp_path, **given)))
    assert page.addresses == ["data:,"]
    assert "://" not in page.html


def test_the_page_shows_every_measure_beside_the_baselines(tmp_path: Path) -> None:
    found = record(tmp_path, control=True, others=True)
    page = render_evaluation(found)
    guessed = found["models"]["random"]["sample_ap"]
    assert f"<td>{guessed:.3f}</td>".replace("0.", ".") in page
    assert all(f'<th scope="row">{name}</th>' in page for _, name, _ in MEASURES)
    for heading in ("label prior", "top 3 always", "shuffled labels", "plain", "random"):
        assert f'<th scope="col">{heading}</th>' in page


def test_the_page_says_what_must_be_said(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path, control=True))
    for text in (
        "The model beats the prior",
        "weights are random",
        "Western (2)",
        "0123456789abcdef",
        "# Model card",
    ):
        assert text in page
    assert "21 links scored, 3 without features" in page
    assert "±" not in page


def test_too_few_test_movies_give_no_verdict(tmp_path: Path) -> None:
    found = record(tmp_path, control=True, others=True, movies=19)
    page = render_evaluation(found)
    assert "Too few test movies to say whether the model beats the prior and chance: 19" in page
    assert "intervals over fewer than 20 movies are too narrow" in page
    for verdict in ("The model beats", "does not beat", "The control, trained", "significantly"):
        assert verdict not in page
    assert not re.search(r'class="(verdict )?(good|bad)"', page)


@pytest.mark.parametrize(
    ("of_folds", "said"),
    [
        ({"validation": 2}, "threshold, chosen on the validation part."),
        ({"default": 2}, "not chosen in 2 of 2 folds, as there are fewer than 20 validation"),
        ({"validation": 1, "default": 1}, "the validation part; not chosen in 1 of 2 folds"),
    ],
)
def test_the_page_says_where_the_thresholds_are_from(
    of_folds: dict[str, int], said: str, tmp_path: Path
) -> None:
    page = render_evaluation(record(tmp_path, folds=2) | {"thresholds_from": of_folds})
    assert said in " ".join(page.split())
    assert (": .5." in page) is ("default" in of_folds)


def test_figures_of_folds_have_their_spread(tmp_path: Path) -> None:
    found = record(tmp_path, folds=3)
    page = render_evaluation(found)
    assert "mean ± standard deviation over 3 folds" in page
    model = found["models"]["model"]
    shown = f"{model['micro_ap']:.3f}\n±\N{NO-BREAK SPACE}{model['std']['micro_ap']:.3f}".replace(
        "0.", "."
    )
    assert f'<td class="best">{shown}</td>' in page


def test_a_comparison_shows_its_interval(tmp_path: Path) -> None:
    found = record(tmp_path, others=True)
    page = render_evaluation(found)
    (mean_ap,) = [each for each in found["comparisons"] if each["measure"] == "mean_ap"]
    shown = f"{mean_ap['low']:.3f} to {mean_ap['high']:.3f}".replace("0.", ".")
    assert f"<td>{shown}</td>" in page
    assert "Is the difference significant?" in page
    assert "Is the difference significant?" not in render_evaluation(record(tmp_path))


def test_calibration_is_shown_before_and_after(tmp_path: Path) -> None:
    found = record(tmp_path)
    page = render_evaluation(found)
    before, after = (found["models"][key]["brier"] for key in ("uncalibrated", "model"))
    shown = [f"<td>{value:.3f}</td>".replace("0.", ".") for value in (before, after)]
    assert before != after
    assert f'<th scope="row">Brier</th>{shown[0]}{shown[1]}' in page


@pytest.mark.parametrize(
    ("methods", "promises"), [({"none": 2}, 0), ({"platt": 2}, 1), ({"none": 1, "platt": 1}, 1)]
)
def test_what_calibrated_probabilities_promise_is_no_finding(
    tmp_path: Path, methods: dict[str, int], promises: int
) -> None:
    html = render_evaluation(record(tmp_path, folds=2) | {"calibration": methods})
    assert html.count("three in ten of the pairs with probability .3 are true.") == promises
    for method, n in methods.items():
        assert f"{method} in {n} of 2 folds" in html


def test_sets_of_genres_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "used in papers" not in render_evaluation(record(tmp_path))
    monkeypatch.setattr("trailergenre.models.evaluation.GENRE_SETS", {"Two": ("Action", "Drama")})
    page = render_evaluation(record(tmp_path))
    assert '<th scope="row">Two</th><td>model</td><td>13</td>' in page


def test_a_genre_without_a_test_movie_has_no_bar(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path))
    assert page.count('class="track"') == 3
    assert page.count('<th scope="row">Horror</th>') == 1


def test_what_users_named_is_escaped(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path))
    assert "alert(1)" in page
    assert "<script>" not in page


def test_each_genre_that_has_a_movie_has_its_curve_told_in_words_too(tmp_path: Path) -> None:
    found = record(tmp_path)
    html = render_evaluation(found)
    assert html.count('<path class="line" d="M0 ') == 4  # all pairs, and three genres
    assert len(re.findall(r'aria-label="Precision over recall, \w+: precision', html)) == 3
    assert "Precision over recall, Horror" not in html
    first = found["curves"]["genres"][0]
    assert f"V{92 * (1 - first['precision'][-1]):.1f}H120.0" in html


def test_over_folds_a_curve_has_its_own_average_precision_beside_the_mean(tmp_path: Path) -> None:
    found = record(tmp_path, folds=2, knows=0.2)
    html = render_evaluation(found)
    curves, model = found["curves"], found["models"]["model"]
    pairs = list(zip(curves["genres"], model["genres"], strict=True))[:3]
    assert any(abs(curve["ap"] - genre["ap"]) > 0.001 for curve, genre in pairs)
    for curve, genre in pairs:
        own, mean = (f"{value:.3f}".replace("0.", ".") for value in (curve["ap"], genre["ap"]))
        assert f"AP of this curve {own} (mean of folds {mean}), {genre['n']} movies" in html
    assert f"µAP of this curve {curves['micro']['ap']:.3f}".replace("0.", ".") in html
    assert "of this curve" not in render_evaluation(record(tmp_path))


def test_reliability_is_drawn_and_told(tmp_path: Path) -> None:
    found = record(tmp_path)
    html = render_evaluation(found)
    for of_model, name in (("dot", "reliability"), ("ring", "reliability_raw")):
        bins = [bin for bin in found["curves"][name] if bin["n"]]
        radii = re.findall(rf'<circle class="{of_model}" [^>]* r="([\d.]+)"', html)
        pairs = [bin["n"] for bin in bins]
        assert len(radii) == len(bins) > 1
        assert [(float(radius) - 2) ** 2 / 36 for radius in radii] == pytest.approx(
            [n / max(pairs) for n in pairs], abs=0.02
        )
    assert "0.9 to 1.0" in html


def test_the_map_has_its_interval(tmp_path: Path) -> None:
    found = record(tmp_path, knows=0.3, folds=2)
    text = Page(render_evaluation(found)).text
    low, high = (f"{found['interval'][end]:.3f}".replace("0.", ".") for end in ("low", "high"))
    assert f"(95 % interval {low} to {high}), compared with" in text
    assert "basic bootstrap over the test movies, within each fold: 1,000 draws" in text


def test_the_worst_errors_are_shown_with_their_links(tmp_path: Path) -> None:
    found = record(tmp_path, knows=0.1)
    page = assert_stands_alone(render_evaluation(found))
    links = page.addresses[1:]  # the first is the icon
    assert links == [movie["url"] for movie in found["worst"]]
    assert len(links) == 10
    worst = found["worst"][0]
    assert worst["title"] in page.text
    missed = [each for each in worst["genres"] if each["is_true"] and not each["is_predicted"]]
    for each in missed:
        probability = f"{each['probability']:.3f}".replace("0.", ".", 1)
        assert f'<strong class="bad">{each["genre"]} {probability}</strong>' in page.html


def test_what_strangers_wrote_is_text(tmp_path: Path) -> None:
    found = record(tmp_path, knows=0.1)
    found["worst"][0] |= {"title": TITLE, "url": URL}
    found["worst"][1] |= {"title": "", "url": None}
    page = Page(render_evaluation(found))
    assert "<b>Bold" not in page.html
    assert TITLE.split("\u202e")[0] in page.text
    assert URL in page.text
    assert URL not in page.addresses
    assert found["worst"][1]["link_id"] in page.text


def test_confused_genres_are_counted_and_shaded(tmp_path: Path) -> None:
    found = record(tmp_path, knows=0.1)
    html = render_evaluation(found)
    counts = found["confusion"]["counts"]
    most = max(map(max, counts))
    shades = re.findall(r"color-mix\(in srgb, var\(--model\) (\d+)%, transparent\)\">(\d+)<", html)
    assert [int(n) for _, n in shades] == [n for row in counts for n in row if n]
    assert all(int(shade) == round(40 * int(n) / most) for shade, n in shades)
    assert "Shown are the" not in html


def test_a_model_without_an_error_shows_none(tmp_path: Path) -> None:
    html = render_evaluation(record(tmp_path, knows=1.0))
    assert "Worst errors" not in html
    assert "Genre confusion" not in html


def test_axes_have_titles(tmp_path: Path) -> None:
    html = render_evaluation(record(tmp_path))
    assert html.count(">recall</text>") == html.count(">precision</text>") == 4
    assert html.count(">predicted probability</text>") == 1
    assert html.count(">share of true pairs</text>") == 1


def test_few_validation_movies_are_warned_of(tmp_path: Path) -> None:
    few = {"thresholds_from": "default", "thresholds": (0.5,) * 4}
    bundle = make_bundle(Store(str(tmp_path)), manifest=make_manifest().model_copy(update=few))
    model = scored(bundle, ADDRESS, folds=1, knows=0.9)
    html = render_evaluation(make_record(model))
    assert '<p class="note">There are fewer than 20 validation movies' in html


def test_an_interval_is_drawn_where_it_lies(tmp_path: Path) -> None:
    found = record(tmp_path, others=True)
    html = render_evaluation(found)
    reach = max(abs(each[end]) for each in found["comparisons"] for end in ("low", "high"))
    spans = re.findall(r'class="span" style="left: ([\d.]+)%; width: ([\d.]+)%', html)
    assert len(spans) == len(found["comparisons"])
    for each, (left, width) in zip(found["comparisons"], spans, strict=True):
        assert float(left) == pytest.approx(50 + 50 * each["low"] / reach, abs=0.01)
        assert float(left) + float(width) <= 100.01
