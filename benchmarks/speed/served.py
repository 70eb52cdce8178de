"""B7, B13, B14: bytes, requests and processor seconds of downloads, over loopback."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from downloads import N_LINKS, bytes_of_served_list, child_cpu_s_a_link, requests_of_run

from speed.findings import Finding, Findings, take_turns
from speed.inputs import Inputs


def measure_bytes(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Download from a list of formats once; B7."""
    found = bytes_of_served_list()
    what = "bytes of the video over those of the smallest adequate format"
    over = [found["video"] / found["smallest"]]
    return {"B7": Finding(what, over, 1, 1, is_least=False, figures=found)}


def measure_requests(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Run, kill, run on and count; B13."""
    found = requests_of_run()
    bars = {
        "B13": ("requests for links whose outcome is committed", "committed", 0),
        "B13 extract_info": ("calls of extract_info an attempt", "extract_info", 1),
        "B13 kill": (
            "links asked for again after a kill in a task of 24; the bar is what may be open",
            "repeated",
            found["open_chunk"],
        ),
    }
    return {
        key: Finding(what, [found[name]], bar, bar, is_least=False, figures=found)
        for key, (what, name, bar) in bars.items()
    }


def measure_children(
    inputs: Inputs, wanted: Collection[str], *, turns: int = 3, n_links: int = N_LINKS
) -> Findings:
    """Fetch files and pages in turns; B14.

    Args:
        inputs: not needed.
        wanted: B14.
        turns: of each.
        n_links: a turn.
    """
    work = {kind: partial(child_cpu_s_a_link, kind, n_links) for kind in ("file", "page")}
    values = take_turns(work, turns)
    what = "CPU seconds of the download child a link"
    return {
        key: Finding(f"{what}, {kind}", values[kind], 0.25, 0.5, is_least=False)
        for key, kind in (("B14", "file"), ("B14 page", "page"))
    }
