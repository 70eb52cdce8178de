from __future__ import annotations

import re
from collections.abc import Callable

import markdown
import pytest
from markdown_it import MarkdownIt

from bundles import make_manifest
from runs import GENRES
from trailergenre.models.calibration import Calibration, Identity, Platt
from trailergenre.models.manifest import Manifest, SearchFacts, Trial
from trailergenre.models.model_card import find_warnings, render_card


def changed(**values: object) -> Manifest:
    return make_manifest().model_copy(update=values)


def test_the_card_says_what_the_model_is_and_what_it_reached() -> None:
    card = render_card(make_manifest())
    for text in (
        "# Model card",
        "which of 4 genres",
        "Trained with mllib on 2026-01-01",
        "| mAP | .450 | .250 | .200 |",
        "| Action | 1 | .450 | .400 | .500 |",
        "Not modelled, too few movies: Western (2)",
        "2 movies (2 links) train",
        "d" * 64,
        "pyspark 4.3.0",
        "look for a leak first",
    ):
        assert text in card
    assert card.endswith("\n")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (make_manifest(weights="random(seed=7)"), "weights are random"),
        (make_manifest(shuffled=True), "knows nothing"),
        (changed(thresholds_from="default"), "fewer than 20 validation movies"),
    ],
)
def test_what_must_be_said_stands_at_the_top(manifest: Manifest, words: str) -> None:
    card = render_card(manifest)
    assert words in card[: card.index("## Metrics")]
    (note,) = find_warnings(manifest)
    assert words in note
    assert find_warnings(make_manifest()) == []


def test_calibration_is_shown_with_what_it_changed() -> None:
    calibration = Calibration(
        method="platt",
        curves=(*[Platt(slope=0.5, offset=0.1)] * 3, Identity()),
        brier={"none": 0.2, "platt": 0.15, "isotonic": 0.16},
    )
    card = render_card(changed(calibration=calibration))
    assert "none .200, platt .150, isotonic .160" in card
    assert "| test movies | before | after |" in card
    assert "Not calibrated: Horror." in card
    assert "| before | after |" not in render_card(make_manifest())


@pytest.mark.parametrize(("source", "said"), [("default", "all are .5"), ("validation", "by F1")])
def test_the_card_says_where_the_thresholds_are_from(source: str, said: str) -> None:
    assert said in render_card(changed(thresholds_from=source))


@pytest.mark.parametrize(("movies", "is_few"), [(19, True), (20, False)])
def test_few_test_movies_are_no_reason_for_a_verdict(movies: int, is_few: bool) -> None:
    test = make_manifest().test.model_copy(update={"movies": movies})
    assert ("too few test movies to say" in render_card(changed(test=test))) is is_few


def test_a_search_is_shown_with_its_spread() -> None:
    trials = (
        Trial(parameters={"trees": 300, "max_depth": 9}, mean_ap=0.312, spread=0.011),
        Trial(parameters={"trees": 50, "max_depth": 4}, mean_ap=0.25, spread=0.02),
    )
    card = render_card(changed(search=SearchFacts(seed=7, folds=3, trials=trials)))
    assert "Found by 2 random trials (seed 7) on 3 inner folds" in card
    assert "| trees 300, max_depth 9 | .312 | .011 |" in card


@pytest.mark.parametrize(("trained", "said"), [(3000, "is reached here"), (80, "is suspicious")])
def test_a_figure_too_good_for_so_many_movies_is_doubted(trained: int, said: str) -> None:
    manifest = make_manifest()
    measures = {**manifest.test.measures, "model": {"mean_ap": 0.93}}
    test = manifest.test.model_copy(update={"measures": measures})
    training = manifest.training.model_copy(update={"movies": {"train": trained}})
    assert f"{said}: look for a leak first" in render_card(changed(test=test, training=training))


def test_the_card_says_how_trailers_of_one_movie_were_known() -> None:
    manifest = make_manifest()
    names = {"id": 80, "title and year": 10, "title": 3, "link": 0}
    training = manifest.training.model_copy(update={"movies_by_name": names})
    card = render_card(manifest.model_copy(update={"training": training}))
    assert "Movies are known 80 by id, 10 by title and year, 3 by title." in card


def test_names_cannot_break_the_page() -> None:
    genres = ("A|b", "<script>", "Drama\n# Heading", "Horror")
    card = render_card(changed(genres=genres))
    assert "| A\\|b |" in card
    assert "<script>" not in card
    assert "\n# Heading" not in card


def test_a_manifest_without_figures_has_a_card_still() -> None:
    facts = make_manifest().test.model_copy(update={"measures": {}, "genres": {}})
    assert "| mAP |" in render_card(changed(test=facts))


ALIVE = (
    "![x](http://evil.example/pixel)",
    "[x](javascript:alert(1))",
    "[x][r] [r]: http://evil.example",
    "<javascript:alert(1)>",
    "<http://evil.example>",
    "http://evil.example",
    "WWW.evil.example",
    "me@evil.example",
    "<img src=x onerror=alert(1)>",
    "</code><script>alert(1)</script>",
    "`</code>` ![x](http://evil.example)",
    "a\n\n[r]: http://evil.example\n\n![r]",
    r"\![x](http://evil.example) \\[x](http://evil.example)",
    "&lt;script&gt; &#60;script&#62;",
    "**bold** | cell",
)


def markdown_it(card: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(card)


def python_markdown(card: str) -> str:
    # Bare addresses become links, as on GitHub.
    return markdown.markdown(card, extensions=["tables", "pymdownx.magiclink"])


@pytest.mark.parametrize("render", [markdown_it, python_markdown])
@pytest.mark.parametrize("text", ALIVE)
def test_what_strangers_wrote_is_text(text: str, render: Callable[[str], str]) -> None:
    manifest = changed(
        genres=(text, *GENRES[1:]),
        not_modelled={text: 1},
        versions={text: text},
        backbone=make_manifest().backbone.model_copy(
            update={"weights": text, "backbone_id": text, "precision": text}
        ),
        training=make_manifest().training.model_copy(
            update={"data_sha256": text, "movies": {text: 1}, "movies_by_name": {text: 1}}
        ),
    )
    page = render(render_card(manifest))
    harmless = render(render_card(changed(not_modelled={"Western": 1})))
    assert not re.search("<(a|img|script)\\b|onerror=[^&]*>", page)
    # No value makes or ends an element, not even a cell.
    assert elements(page) == elements(harmless)


def elements(page: str) -> list[str]:
    return re.findall("<[^>]+>", page)
