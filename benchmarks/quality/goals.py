"""The goals that hold or do not: value, bar and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean, stdev
from typing import Any

EXPORT_BAR = 1e-6


def check_goals(parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Hold what the measured parts found against the goals; unmeasured ones are left out."""
    goals: dict[str, dict[str, Any]] = {}
    for name, check in _CHECKS.items():
        if name in parts:
            for key, what, value, sign, goal in check(parts[name]):
                holds = value >= goal if sign == ">=" else value <= goal
                goals[key] = {
                    "what": what,
                    "value": value,
                    "sign": sign,
                    "goal": goal,
                    "holds": bool(holds),
                }
    return goals


_Check = tuple[str, str, float, str, float]


def _labels(found: dict[str, Any]) -> Iterator[_Check]:
    yield "G0", "share of labels that agree with the metadata", found["equal_share"], ">=", 0.995
    refused = 1.0 if found["matrix_exit_code"] == 2 else 0.0
    yield "G0 matrix", "the misaligned matrix is refused (1: yes)", refused, ">=", 1.0


def _scene(found: dict[str, Any]) -> Iterator[_Check]:
    for name in ("forest, MLlib", "forest, scikit-learn"):
        figures = found["models"][name]
        yield f"G1 µ-AUPRC {name}", "Mulan scene", figures["micro_auprc"], ">=", 0.82
        yield f"G1 LRAP {name}", "Mulan scene", figures["lrap"], ">=", 0.86
        yield f"G1 Hamming {name}", "Mulan scene", figures["hamming"], "<=", 0.10


def _trailers(found: dict[str, Any]) -> Iterator[_Check]:
    for key, short, bar in (
        ("mean_ap", "mAP", 0.27),
        ("micro_ap", "µAP", 0.41),
        ("macro_auc", "AUC", 0.68),
    ):
        names = ("logistic, scikit-learn", "one multi-output forest, scikit-learn")
        best = max(found["models"][name][key]["mean"] for name in names)
        yield f"G2 {short}", "1,807 trailers, best of regression and forest", best, ">=", bar
    mllib = found["models"]["one forest per genre, MLlib"]["mean_ap"]["mean"]
    yield "G2 mAP MLlib", "1,807 trailers, MLlib, one forest per genre", mllib, ">=", 0.25
    yield from _shuffled(found)


def _imdb(found: dict[str, Any]) -> Iterator[_Check]:
    best = max(model["mean_ap"]["mean"] for model in found["models"].values())
    yield "G2 mAP IMDB5000", "IMDB5000 trailers, best model", best, ">=", 0.38


def _exported(found: dict[str, Any]) -> Iterator[_Check]:
    for name, difference in found["largest"].items():
        what = "largest difference of the exported model from the trainer's"
        yield f"G3 {name}", what, difference, "<=", EXPORT_BAR


def _shuffled(found: dict[str, Any]) -> Iterator[_Check]:
    # Of AUC: chance is .5 exactly, while the mAP of chance lies above the prior on few movies.
    aucs = found["control_auc"]
    what = "1,807 trailers: AUC of shuffled controls minus .5, in standard deviations over seeds"
    yield "control", what, (mean(aucs) - 0.5) / stdev(aucs), "<=", 2.0


def _driver(found: dict[str, Any]) -> Iterator[_Check]:
    middle, most = (run["peak_bytes"]["driver"] for run in found["runs"])
    what = "driver's peak memory, 20,000 over 10,000 frame rows"
    yield "driver", what, most / middle, "<=", 1.1


def _epoch(found: dict[str, Any]) -> Iterator[_Check]:
    (run,) = found["runs"]
    what = "peak resident GB of an epoch of 600,000 frames"
    yield "epoch", what, run["peak_bytes"] / 1e9, "<=", 2.0


_CHECKS = {
    "labels": _labels,
    "scene": _scene,
    "trailers": _trailers,
    "imdb": _imdb,
    "exported": _exported,
    "costs-driver": _driver,
    "costs-epoch": _epoch,
}
