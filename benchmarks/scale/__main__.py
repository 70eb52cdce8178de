"""docs/scaling.md from what was measured; `measure` first measures the driver, in five minutes.

cd benchmarks && python -m scale [measure]
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from speed.machine import BUSY_CORES, describe, others_cores

from scale.driver import measure_driver
from scale.figures import read_driver, read_speeds
from scale.page import render_page

OUT = Path(__file__).resolve().parents[1] / "out"
PAGE = OUT.parents[1] / "docs" / "scaling.md"
SIZES = (25_000, 100_000)


def main(what: Annotated[Literal["measure"] | None, typer.Argument()] = None) -> None:
    """Write the page."""
    record = OUT / "driver.json"
    if what == "measure":
        record.write_text(json.dumps(_measure(), indent=2) + "\n")
    measured = json.loads(record.read_text())
    latest = json.loads((OUT / "latest.json").read_text())
    PAGE.write_text(render_page(latest, read_driver(measured), measured, read_speeds(latest)))


def _measure() -> dict[str, object]:
    others = others_cores()
    return {
        "machine": describe(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "beside": "alone" if others <= BUSY_CORES else "beside other work",
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "runs": {str(n): measure_driver(n) for n in SIZES},
    }


if __name__ == "__main__":
    typer.run(main)
