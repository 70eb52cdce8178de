from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundles import make_bundle, make_manifest
from trailergenre.evaluation import compare, describe_bundle
from trailergenre.report import MEASURES, format_figure, render_evaluation
from trailergenre.storage import Store

ADDRESS = "bundles/<script>alert(1)</script>"


def record(tmp_path: Path, *, control: bool) -> dict[str, Any]:
    bundle = make_bundle(Store(str(tmp_path)), manifest=make_manifest(weights="random(seed=7)"))
    truth = np.eye(4, dtype=np.int8)[np.arange(20) % 3]
    other = (np.full(truth.shape, 0.5), bundle) if control else None
    return {
        "created_at": "2026-01-01T00:00:00+00:00",
        "run": "runs/mine",
        "features": "0123456789abcdef",
        "bundle": describe_bundle(bundle, ADDRESS),
        "control": describe_bundle(bundle, "bundles/control") if control else None,
        "test": {"movies": 20, "links": 21, "links_without_features": 3},
        "notes": bundle.warnings,
        **compare(truth, truth.astype(float), bundle, control=other),
    }


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]


@pytest.mark.parametrize("control", [True, False])
def test_the_page_stands_alone(tmp_path: Path, control: bool) -> None:
    page = render_evaluation(record(tmp_path, control=control))
    found = _Page(page)
    assert found.addresses == ["data:,"]
    assert "script" not in found.tags
    assert not re.search(r"url\(|@import|https?://", page)
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_every_measure_beside_the_baselines(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path, control=True))
    assert all(f'<th scope="row">{name}</th>' in page for _, name, _ in MEASURES)
    for heading in ("label prior", "top 3 always", "shuffled labels", "random"):
        assert f'<th scope="col">{heading}</th>' in page


def test_the_page_says_what_must_be_said(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path, control=True))
    for text in (
        "The model beats the prior",
        "weights are random",
        "Western (2)",
        "0123456789abcdef",
    ):
        assert text in page
    assert "21 links scored, 3 without features" in page


def test_a_genre_without_a_test_movie_has_no_bar(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path, control=False))
    assert page.count('class="track"') == 3
    assert page.count('<th scope="row">Horror</th>') == 1


def test_what_users_named_is_escaped(tmp_path: Path) -> None:
    page = render_evaluation(record(tmp_path, control=False))
    assert "alert(1)" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("value", "shown"), [(0.2834, ".283"), (1.0, "1.000"), (0.0, ".000"), (None, "–")]
)
def test_figures_are_shown_as_in_papers(value: float | None, shown: str) -> None:
    assert format_figure(value) == shown
