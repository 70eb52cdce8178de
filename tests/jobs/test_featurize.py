"""The job as a user runs it, over HTTP: what is kept, what is refused, what is taken again."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from pathlib import Path

import pytest

from backbones import export_tiny
from clips import make_clip
from killed import Driver, features_hash
from lists import write_links
from servers.files import FileServer, serve
from submits import arguments
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import LEASE_FILE, hold_lease
from trailergenre.runs.verify.verify import verify_run

pytestmark = pytest.mark.slow


def options(run: Path, backbone: Path, server: FileServer, *more: str) -> list[str]:
    """Arguments of the job for links that the server serves."""
    return arguments(run, f"backbone.path={backbone}", f'network.allow=["{server.address}"]', *more)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five short clips, each another picture."""
    directory = tmp_path_factory.mktemp("clips")
    for number in range(5):
        source = f"gradients=s=320x320:r=8:seed={number}:d=3"
        make_clip(directory / f"{number:02}.mp4", source, "-preset", "ultrafast")
    return directory


@pytest.mark.parametrize("keep", ["videos", "frames"])
def test_what_is_kept_gives_the_bytes_that_nothing_kept_gives(
    keep: str, data_dir: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    kept, plain = Store(str(tmp_path / "kept")), Store(str(tmp_path / "plain"))
    with serve(data_dir / "video") as server:
        urls = [f"http://{server.address}/{c.name}" for c in (data_dir / "video").glob("*.mp4")]
        for store in (kept, plain):
            write_links(store, urls)
        words = options(tmp_path / "kept", tiny_backbone, server)
        ended = driver.featurize([*words, "--keep", keep]).summary
        assert driver.featurize(options(tmp_path / "plain", tiny_backbone, server)).code == 0
    assert features_hash(kept) == features_hash(plain)
    assert len(list(tmp_path.glob(f"kept/{keep}/*/*"))) == 4
    stages = {executor["stage"]: executor["links"] for executor in ended["time"]}
    assert stages == ({"embed": 4} if keep == "videos" else {"sample": 4, "embed": 4})


def test_kept_videos_are_downloaded_once_for_all_settings(
    clips: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    run, store = tmp_path / "run", Store(str(tmp_path / "run"))
    other = export_tiny(tmp_path / "other", seed=8)
    with serve(clips) as server:
        write_links(store, [f"http://{server.address}/{n}" for n in ("00.mp4", "01.mp4", "no.mp4")])
        keep = ["--keep", "videos"]
        assert driver.featurize([*options(run, tiny_backbone, server), *keep]).code == 0
        assert server.requested
        server.requested.clear()
        same = driver.featurize([*options(run, tiny_backbone, server), *keep]).summary
        assert same["requested"] == 0
        faster = options(run, tiny_backbone, server, "frames.per_second=2")
        assert driver.featurize([*faster, *keep]).code == 0
        assert driver.featurize([*options(run, other, server), *keep]).code == 0
        assert server.requested == []
    by_rate = Counter(settings.frames_per_s for settings in list_settings(store).values())
    assert by_rate == {1.0: 2, 2.0: 1}
    for fingerprint, settings in list_settings(store).items():
        outcomes = tables.read_outcomes(store, fingerprint)
        counts = Counter(
            zip(*(outcomes[c].to_pylist() for c in ("outcome", "frames")), strict=True)
        )
        assert counts == {("ok", 3 * settings.frames_per_s): 2, ("unavailable", 0): 1}


def test_kept_frames_are_neither_asked_for_nor_decoded_again_by_another_network(
    clips: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    run, store = tmp_path / "run", Store(str(tmp_path / "run"))
    other = export_tiny(tmp_path / "other", seed=8)
    with serve(clips) as server:
        write_links(store, [f"http://{server.address}/{n}" for n in ("00.mp4", "01.mp4", "no.mp4")])
        keep = ["--keep", "frames"]
        first = driver.featurize([*options(run, tiny_backbone, server), *keep]).summary
        assert first["by_outcome"] == {"ok": 2, "unavailable": 1}
        server.requested.clear()
        second = driver.featurize(options(run, other, server)).summary
        # Neither the site's answer nor what is kept is asked for again.
        assert (second["requested"], second["by_outcome"]) == (2, first["by_outcome"])
        assert server.requested == []
        faster = driver.featurize(options(run, other, server, "frames.per_second=2"))
        assert (faster.code, server.requested) == (2, [])
    for fingerprint in list_settings(store):
        outcomes = tables.read_outcomes(store, fingerprint)
        assert sorted(outcomes["frames"].to_pylist()) == [0, 3, 3]


def test_changed_settings_without_kept_videos_stop_the_run(
    clips: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with serve(clips) as server:
        write_links(Store(str(run)), [f"http://{server.address}/{n}.mp4" for n in ("00", "01")])
        assert driver.featurize(options(run, tiny_backbone, server)).code == 0
        server.requested.clear()
        faster = options(run, tiny_backbone, server, "frames.per_second=2")
        refused = driver.featurize(faster)
        assert refused.code == 2
        assert "frames_per_s: 1.0 -> 2.0" in refused.output
        assert "2 downloads" in refused.output
        assert server.requested == []
        assert driver.featurize([*faster, "--recompute"]).summary["requested"] == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("backbone.path=/nowhere", "trailergenre backbone export"),
        ("backbone.path={cut}", "network.onnx was changed or truncated: SHA-256 is"),
        ("limits.deadline=3", "the closest valid one is limits.deadline_s"),
    ],
)
def test_bad_runs_end_with_2_and_one_line(
    setting: str, message: str, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    write_links(Store(str(tmp_path)), ["https://example.org/x.mp4"])
    cut = Path(shutil.copytree(tiny_backbone, tmp_path / "cut"))
    (cut / "network.onnx").write_bytes((cut / "network.onnx").read_bytes()[:1000])
    ended = driver.featurize([str(tmp_path), "--set", setting.format(cut=cut)])
    assert ended.code == 2
    assert message in ended.output
    assert "Traceback" not in ended.output


def test_a_second_run_on_one_output_is_refused_and_writes_nothing(
    clips: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "run"))
    with serve(clips) as server:
        write_links(store, [f"http://{server.address}/00.mp4"])
        before = store.list_all_files("")
        arguments = options(tmp_path / "run", tiny_backbone, server)
        with hold_lease(store, "featurize"):
            refused = driver.featurize(arguments)
        assert refused.code == 3
        assert f"featurize on {socket.gethostname()} (process {os.getpid()})" in refused.output
        assert store.list_all_files("") == before
        assert server.requested == []
        assert driver.featurize(arguments).summary["by_outcome"] == {"ok": 1}
    assert not store.exists(LEASE_FILE)


def test_a_list_that_changes_between_runs_is_accounted_for_as_it_is(
    clips: Path, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    """Rows are removed, reordered and added: resume goes by link, not by place."""
    run, store = tmp_path / "run", Store(str(tmp_path / "run"))
    with serve(clips) as server:
        urls = [f"http://{server.address}/{number:02}.mp4" for number in range(5)]
        write_links(store, urls[:4])
        assert driver.featurize(options(run, tiny_backbone, server)).code == 0
        write_links(store, [urls[4], urls[2], urls[0]])
        server.requested.clear()
        assert driver.featurize(options(run, tiny_backbone, server)).summary["requested"] == 1
        assert {request.split()[1] for request in server.requested} == {"/04.mp4"}
    report = verify_run(store, choose_fingerprint(store, None))
    assert (report.links, report.by_outcome) == (3, {"ok": 3})
    assert features_hash(store)
    notes = [note for check in report.checks for note in check.notes]
    assert notes == ["2 outcomes belong to links of an earlier list"]
