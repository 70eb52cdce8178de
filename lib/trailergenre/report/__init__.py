"""Figures to one self-contained page: no script, no request to anywhere.

The template lies beside this file as package data. Knows nothing of Spark or of stored tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from trailergenre.floors import check_floors
from trailergenre.measures import MEASURES, format_figure, format_spread


def render_evaluation(record: Mapping[str, object]) -> str:
    """Render an evaluation as HTML.

    Args:
        record: what `jobs/evaluate_model.py` writes as JSON.
    """
    check_floors("jinja2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = format_figure
    environment.filters["spread"] = lambda model, key: format_spread(model[key], model["std"][key])
    template = files(__package__).joinpath("evaluation.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        record,
        measures=MEASURES,
        names={key: name for key, name, _ in MEASURES},
        set_measures=("mean_ap", "micro_ap", "weighted_ap", "sample_ap", "precision_at_3"),
        calibration_measures=("brier", "ece", "mean_ap", "micro_ap", "sample_ap"),
    )
