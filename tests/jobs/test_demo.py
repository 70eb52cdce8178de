"""The whole way, as `make demo` runs it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from clips import make_clip
from shared import run_command, shared_demo, shared_inception

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


FOREIGN = re.compile(
    r"[IWEF]\d{4} \d\d:\d\d|WARNING: |Downloading |Collecting |Picked up |:: |Setting default log"
    r"|\d\d/\d\d/\d\d \d\d:\d\d:\d\d (?:INFO|WARN)|.*(?:Warning: |absl::|log4j|cuInit)"
)
"""How lines of TensorFlow, the JVM, Spark, Ivy, pip and Python's warnings begin."""


def summaries(output: str) -> dict[str, dict[str, object]]:
    """The jobs' summary lines by stage; of a stage that ran twice, the last."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"stage"')]
    return {line["stage"]: line for line in lines}


def test_made_clips_go_the_whole_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    done = shared_demo(tmp_path_factory)
    stages = summaries(done.stdout)
    rows = stages["prepare_dataset"]
    assert sum(rows["by_row_outcome"].values()) == rows["rows"] == 60  # type: ignore[attr-defined]
    links = stages["featurize"]
    assert links["by_outcome"] == {
        "ok": 48,
        "no_file": 1,
        "no_video": 1,
        "not_media": 1,
        "partial": 1,
        "unavailable": 1,
        "unsupported_site": 1,
    }
    assert stages["publish_features"]["documents"] == links["frames"] == 48 * 3
    judged = stages["evaluate_model"]
    assert judged["beats_prior"] == {"model": True, "control": False}
    # Not every shot fits its clip's genres: the page has errors to look at, and more than chance.
    assert 0.6 <= judged["mean_ap"]["model"] <= 0.85  # type: ignore[index]
    # Two of the clip's shots are dark grain, one is cold cells.
    top = [line for line in done.stdout.splitlines() if line[:2] in {"1.", "2.", "3."}]
    assert {line.split()[1] for line in top[:2]} == {"Horror", "Sci-Fi"}
    assert len(top) == 3
    end = done.stdout[done.stdout.index("Input rows by outcome") :]
    for name in ("run.html", "evaluation.html", "score.html"):
        page = done.out / "run" / "reports" / name
        assert str(page) in end
        assert page.read_text().rstrip().endswith("</html>")
    # The last page links to those before it.
    neighbours = ('href="run.html"', 'href="evaluation.html"')
    assert all(link in page.read_text() for link in neighbours)


def test_a_good_run_shows_no_line_of_the_tools_below_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # The shared demo finds its network, so what exporting shows is looked at too.
    both = (shared_inception(tmp_path_factory), shared_demo(tmp_path_factory))
    lines = [line for done in both for line in (done.stdout + done.stderr).splitlines()]
    assert [line for line in lines if FOREIGN.match(line)] == []
    assert [line for line in lines if line.startswith(("error", "warning"))] == []


@pytest.mark.soak
def test_own_videos_in_folders_named_by_genre(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # With an earlier demo's network, half a minute's work.
    out = tmp_path / "demo"
    shutil.copytree(shared_demo(tmp_path_factory).out / "backbone", out / "backbone")
    videos = tmp_path / "my videos"
    looks = {
        "comedy": "gradients=c0=0xffd060:c1=0xff9040:n=2:seed={}",
        "horror": "color=0x{:02}0000",
    }
    for genre, look in looks.items():
        (videos / genre).mkdir(parents=True)
        for number in range(8):
            source = look.format(number + 10) + ":s=320x320:r=4:d=2"
            make_clip(videos / genre / f"{number}.mp4", source, "-preset", "ultrafast")
    (videos / "comedy" / "notes.txt").write_text("not a video")
    done = run_command("demo", "--data", str(videos), "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    stages = summaries(done.stdout)
    assert stages["featurize"]["by_outcome"] == {"ok": 16}
    assert stages["prepare_dataset"]["movies_by_genre"] == {"Comedy": 8, "Horror": 8}
    assert "1 files are not videos" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("1. ")]
