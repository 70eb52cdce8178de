"""The arithmetic of docs/scaling.md, on figures whose results can be counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scale.figures import read_driver, read_speeds
from scale.page import render_page
from scale.plan import Assumptions, DriverCost, Speed, find_walls, plan_run, slope

GIVEN = Assumptions(
    frames_a_video=100,
    bytes_a_video=5_000_000,
    videos_an_hour=300,
    bytes_a_frame=8_192,
    document_bytes=10_000,
    core_hour=0.10,
    gpu_hour=4.0,
    gb_month=0.02,
    thousand_puts=0.005,
    driver_bytes=4e9,
    poll_s=15,
    links_a_commit=32,
    commit_s=300,
    max_tasks=100_000,
    mongo_bytes=2e12,
)
DRIVER = DriverCost(
    plan_bytes=2_000, progress_bytes=1_000, poll_s=1e-5, plan_s=7e-5, outcomes_bytes=400
)


def test_a_plan_is_the_sum_of_its_frames() -> None:
    plan = plan_run(14_400, Speed("cores", 0.12), DRIVER, GIVEN)
    assert plan.core_hours == pytest.approx(48)  # 1,440,000 frames x 0.12 s
    assert plan.cores == 2
    assert (plan.gpu_hours, plan.gpus) == (0, 0)
    assert plan.downloaded_gb == pytest.approx(72)
    assert plan.features_gb == pytest.approx(11.796, abs=1e-3)
    assert plan.outcomes_gb == pytest.approx(0.00576)
    assert plan.mongo_gb == pytest.approx(14.4)
    assert plan.tasks == 8  # four a slot
    assert plan.files == 2 * 14_400 / 25  # 12 s a link: 25 of them are 300 s
    assert plan.site_hours == pytest.approx(48)
    assert plan.addresses == 2
    assert plan.money == pytest.approx(4.8 + 0.00576)
    assert plan.money_a_month == pytest.approx((11.796 + 0.006) * 0.02, abs=1e-3)


def test_a_gpu_takes_the_network_from_the_cores() -> None:
    plan = plan_run(14_400, Speed("GPU", 0.01, 100.0), DRIVER, GIVEN)
    assert (plan.cores, plan.gpus, plan.files) == (1, 1, 900)
    assert (plan.core_hours, plan.gpu_hours) == (pytest.approx(4), pytest.approx(4))
    assert plan.money == pytest.approx(0.4 + 16 + 0.0045)


def test_what_an_empty_process_takes_is_no_cost_a_link() -> None:
    assert slope((25_000, 100e6 + 25_000 * 7), (100_000, 100e6 + 100_000 * 7)) == pytest.approx(7)


def test_walls_come_nearest_first_at_the_links_where_they_are_reached() -> None:
    speed = Speed("cores", 0.12)
    walls = {wall.name: wall.n_links for wall in find_walls(DRIVER, GIVEN, speed)}
    assert list(walls.values()) == sorted(walls.values())
    assert walls["downloads of one address from one site in a day"] == 7_200
    assert walls["driver memory while planning"] == 2_000_000
    assert walls["driver memory during the run"] == 4_000_000
    assert walls["one MongoDB server"] == 2_000_000
    # 25,000 slots, of which each takes 7,200 links of 12 s a day.
    assert walls["tasks of one Spark stage, to finish in one day with cores"] == pytest.approx(
        180_000_000
    )
    assert len(find_walls(DRIVER, GIVEN, None)) == len(walls) - 1
    more = replace(GIVEN, videos_an_hour=1e9)
    assert (
        find_walls(DRIVER, more, speed)[-1].name
        == "downloads of one address from one site in a day"
    )


LATEST = {
    "B1": {
        "machine": "2 cores, some processor",
        "finished_at": "2026-01-02T00:00:00+00:00",
        "figures": {
            "frames_per_s": {"fp32": 16.0},
            "cpu_s_a_frame": {"fp32": {"decode_cpu_s": 0.02}},
        },
    },
    "B3": {"machine": "4 cores, another", "figures": {"frames_per_s": {"int8": 80.0}}},
    "B11": {"value": 5000.0},
}


def test_speeds_are_those_that_were_measured_and_no_others() -> None:
    assert [(s.core_s_a_frame, s.gpu_frames_per_s) for s in read_speeds(LATEST)] == [
        (0.125, None),
        (0.05, None),
        (0.02, 5000.0),
    ]
    assert [s.name for s in read_speeds({"B1": LATEST["B1"]})] == ["cores alone, fp32"]
    assert read_speeds({}) == []


def test_the_page_says_what_was_not_measured(repository: Path) -> None:
    measured = json.loads((repository / "benchmarks/out/driver.json").read_text())
    driver = read_driver(measured)
    assert 100 < driver.progress_bytes < 100_000
    assert 100 < driver.plan_bytes < 100_000
    without = {"B1": LATEST["B1"]}
    page = render_page(without, driver, measured, read_speeds(without))
    assert "| frames/s of a GPU | not measured |" in page
    assert "## Computed: cores alone, fp32" in page
    page = render_page(LATEST, driver, measured, read_speeds(LATEST))
    assert "| frames/s of a GPU | 5,000 |" in page
    assert "## Computed: cores decode, GPUs embed" in page
