"""Pace, deferral and retry as a site sees them: by its log, also when a worker is killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clips import make_clip
from killed import Driver
from lists import write_links
from servers import answer, content, status
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table
from trailergenre.runs.fingerprint import choose_fingerprint

pytestmark = pytest.mark.slow


def test_deferred_links_are_taken_by_the_next_run_and_failures_by_retry(
    driver: Driver, tiny_backbone: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=1").read_bytes()
    busy, works = status(429, Retry_After="0"), content(clip)
    run, store = tmp_path / "run", Store(str(tmp_path / "run"))
    with answer({"/ok.mp4": works, "/busy/*": busy, "/gone.mp4": status(404)}) as server:
        names = ("ok", "gone", *(f"busy/{number}" for number in range(9)))
        write_links(store, [f"http://{server.address}/{name}.mp4" for name in names])
        options = ["--set", f"backbone.path={tiny_backbone}"]
        options += ["--set", f'network.allow=["{server.address}"]', str(run)]

        refused = driver.featurize([*options, "--retry", "ok"])
        assert refused.code == 2
        assert "failed links: bad_array, connect, decode, " in refused.output
        assert server.requests == []

        assert driver.featurize(options).code == 4
        assert current(store) == {("ok", 0): 1, ("unavailable", 0): 1, ("deferred", 0): 9}
        # Two slots ask at the same time: five attempts, and one more of each.
        throttled = sum(n for path, n in server.requested.items() if path.startswith("/busy/"))
        assert 0 < throttled <= 5 + 2
        server.answers = {"/*": works}
        server.requests.clear()
        summary = driver.featurize([*options, "--retry", "unavailable"]).summary
    assert "/ok.mp4" not in server.requested
    assert (summary["requested"], summary["by_outcome"]) == (10, {"ok": 11})
    assert current(store) == {("ok", 0): 1, ("ok", 1): 10}


def current(store: Store) -> dict[tuple[str, int], int]:
    """Links by their current outcome and its round."""
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    return Counter(zip(*(outcomes[n].to_pylist() for n in ("outcome", "round")), strict=True))
