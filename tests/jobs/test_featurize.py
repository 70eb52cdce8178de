"""The job as a user runs it: over HTTP, locally and on a standalone cluster, killed and resumed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from backbones import export_tiny
from clips import make_clip
from killed import Driver
from lists import write_links
from servers.files import FileServer, serve
from submits import (
    bare_interpreter,
    finish,
    package_zip,
    standalone_cluster,
)
from trailergenre.base.config import BackboneConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.storage import Store
from trailergenre.features.backbone import load_embedder
from trailergenre.features.backbone.export import export_backbone
from trailergenre.features.pipeline import embed_links, stream_settings
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import LEASE_FILE, hold_lease
from trailergenre.runs.verify.verify import verify_run

pytestmark = pytest.mark.slow


def options(run: Path, backbone: Path, server: FileServer, *more: str) -> list[str]:
    """Arguments of the job for links that the server serves."""
    settings = [f"backbone.path={backbone}", f'network.allow=["{server.address}"]', *more]
    return [str(run), *(part for setting in settings for part in ("--set", setting))]


def content_hash(store: Store) -> str:
    """Of all features, whatever files hold them; everything that verify checks must hold."""
    report = verify_run(store, choose_fingerprint(store, None))
    # Scratch on this machine may be that of another test.
    wrong = [check for check in report.checks if not check.holds and "scratch" not in check.name]
    assert [check.lines() for check in wrong] == []
    assert len(report.settings) > 0
    assert report.content_hash is not None
    return report.content_hash


def frames_by_link(store: Store) -> list[int]:
    outcomes = tables.read_outcomes(store, choose_fingerprint(store, None))
    return sorted(outcomes["frames"].to_pylist())


def test_real_clips_over_http_give_equal_bytes_locally_on_a_cluster_and_without_spark(
    data_dir: Path, tmp_path: Path
) -> None:
    backbone = tmp_path / "backbone"
    export_backbone("random", backbone)
    with serve(data_dir / "video") as server:
        names = sorted(clip.name for clip in (data_dir / "video").glob("*.mp4"))
        urls = [f"http://{server.address}/{name}" for name in names]
        hashes = {}
        local = Store(str(tmp_path / "local"))
        links = write_links(local, urls)
        finish("featurize", *options(tmp_path / "local", backbone, server))
        hashes["local"] = content_hash(local)
        assert frames_by_link(local) == [10, 10, 10, 30]
        for keep in ("videos", "frames"):
            run = tmp_path / keep
            write_links(Store(str(run)), urls)
            ended = finish("featurize", *options(run, backbone, server), "--keep", keep)
            hashes[keep] = content_hash(Store(str(run)))
            assert len(list(run.glob(f"{keep}/*/*"))) == 4
            stages = {executor["stage"]: executor["links"] for executor in ended["time"]}
            assert stages == ({"embed": 4} if keep == "videos" else {"sample": 4, "embed": 4})

        cluster = Store(str(tmp_path / "cluster"))
        write_links(cluster, urls)
        # Nobody but the zip brings the package: neither the driver's nor the workers' Python.
        python = bare_interpreter(tmp_path / "python")
        assert subprocess.run([python, "-c", "import trailergenre"], check=False).returncode != 0
        with standalone_cluster(tmp_path / "spark") as master:
            finish(
                "featurize",
                *options(tmp_path / "cluster", backbone, server),
                master=master,
                conf=[f"spark.submit.pyFiles={package_zip(tmp_path)}"],
                env={"PYSPARK_PYTHON": str(python)},
            )
        hashes["cluster"] = content_hash(cluster)

        config = load_config((), (f'network.allow=["{server.address}"]',))
        embedder = load_embedder(BackboneConfig(path=str(backbone)))
        alone = {
            record.link.link_id: record.features
            for record in embed_links(links, stream_settings(config), embedder)
        }
    outcomes = tables.read_outcomes(local, choose_fingerprint(local, None))
    rows = [row for part in tables.iter_features(local, outcomes) for row in part.to_pylist()]
    assert len(rows) == 60
    for row in rows:
        assert alone[row["link_id"]][row["frame_index"]].tolist() == row["features"]
    assert hashes["local"] == hashes["cluster"] == hashes["videos"] == hashes["frames"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short clips, each another picture."""
    directory = tmp_path_factory.mktemp("clips")
    for number in range(12):
        source = f"gradients=s=320x320:r=8:seed={number}:d=3"
        make_clip(directory / f"{number:02}.mp4", source, "-preset", "ultrafast")
    return directory


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Runs the job again and again."""
    started = Driver("local[2]", tmp_path_factory.mktemp("temporary"))
    yield started
    started.close()


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
        ("backbone.path={cut}", "network.onnx was changed or cut: SHA-256 is"),
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
    assert content_hash(store)
    notes = [note for check in report.checks for note in check.notes]
    assert notes == ["2 outcomes belong to links of an earlier list"]
