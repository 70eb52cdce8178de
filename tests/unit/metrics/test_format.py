from __future__ import annotations

from dataclasses import fields

import pytest

from trailergenre.metrics.format import MEASURES, format_figure, format_spread
from trailergenre.metrics.multilabel import Metrics


def test_every_measure_is_a_figure() -> None:
    assert {key for key, *_ in MEASURES} <= {field.name for field in fields(Metrics)}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.2834, ".283"),
        (1.0, "1.000"),
        (0.0, ".000"),
        (-0.0512, "-.051"),
        (0.9999, "1.000"),
        (10.04, "10.040"),
        (None, "–"),
    ],
)
def test_figures_are_shown_as_in_papers(value: float | None, shown: str) -> None:
    assert format_figure(value) == shown


def test_a_spread_stands_behind_its_mean() -> None:
    assert format_spread(0.5, 0.0123) == ".500 ± .012"
    assert format_spread(0.5, None) == ".500"
    assert format_spread(None, None) == "–"
