"""The job as a user runs it, over HTTP: what is kept, what is refused, what is taken again."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backbones import export_tiny
from clips import make_clip
from killed import Driver, features_hash
from lists import write_links
from servers.files import FileServer, serve
from submits import arguments
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.lease import LEASE_FILE, hold_lease

pytestmark = pytest.mark.slow

Options = Callable[..., list[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """Serves two short clips, each another picture."""
    directory = tmp_path_factory.mktemp("clips")
    for number in range(2):
        source = f"gradients=s=320x320:r=8:seed={number}:d=3"
        make_clip(directory / f"{number:02}.mp4", source, "-preset", "ultrafast")
    with serve(directory) as server:
        yield server


@pytest.fixture(scope="module")
def options(server: FileServer, tiny_backbone: Path) -> Options:
    """Gives the arguments of the job for links that the server serves."""

    def make(run: Path, *more: str, backbone: Path = tiny_backbone) -> list[str]:
        settings = (f"backbone.path={backbone}", f'network.allow=["{server.address}"]', *more)
        return arguments(run, *settings)

    return make


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another network."""
    return export_tiny(tmp_path_factory.mktemp("other") / "tiny", seed=8)


def write_list(run: Path, server: FileServer) -> Store:
    """Two links that work and one that does not."""
    store, names = Store(str(run)), ("00.mp4", "01.mp4", "no.mp4")
    write_links(store, [f"http://{server.address}/{name}" for name in names])
    return store


@pytest.fixture(scope="module")
def plain(
    options: Options, server: FileServer, driver: Driver, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that kept nothing; a test that writes there copies it first."""
    run = tmp_path_factory.mktemp("plain")
    store = write_list(run, server)
    summary = driver.featurize(options(run)).summary
    assert summary["by_outcome"] == {"ok": 2, "unavailable": 1}
    assert not store.exists(LEASE_FILE)
    return run


def test_kept_videos_are_downloaded_once_for_all_settings_and_give_the_same_bytes(
    options: Options, server: FileServer, plain: Path, other: Path, driver: Driver, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    store, keep = write_list(run, server), ["--keep", "videos"]
    server.requested.clear()
    first = driver.featurize([*options(run), *keep]).summary
    assert {executor["stage"]: executor["links"] for executor in first["time"]} == {"embed": 3}
    assert server.requested
    assert features_hash(store) == features_hash(Store(str(plain)))
    assert len(list(run.glob("videos/*/*"))) == 2
    server.requested.clear()
    assert driver.featurize([*options(run), *keep]).summary["requested"] == 0
    faster = options(run, "frames.per_second=2", backbone=other)
    assert driver.featurize([*faster, *keep]).code == 0
    assert server.requested == []
    assert {settings.frames_per_s for settings in list_settings(store).values()} == {1, 2}
    for fingerprint, settings in list_settings(store).items():
        outcomes = outcomes_table.read_outcomes(store, fingerprint)
        counts = Counter(
            zip(*(outcomes[c].to_pylist() for c in ("outcome", "frames")), strict=True)
        )
        assert counts == {("ok", 3 * settings.frames_per_s): 2, ("unavailable", 0): 1}


@pytest.mark.soak  # with `spark/test_featurize.py`, and kept videos as a user keeps them
def test_kept_frames_give_the_same_bytes_and_are_not_decoded_again_by_another_network(
    options: Options, server: FileServer, plain: Path, other: Path, driver: Driver, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    store = write_list(run, server)
    first = driver.featurize([*options(run), "--keep", "frames"]).summary
    assert first["by_outcome"] == {"ok": 2, "unavailable": 1}
    stages = {executor["stage"]: executor["links"] for executor in first["time"]}
    assert stages == {"sample": 3, "embed": 2}
    assert features_hash(store) == features_hash(Store(str(plain)))
    assert len(list(run.glob("frames/*/*"))) == 2
    server.requested.clear()
    second = driver.featurize(options(run, backbone=other)).summary
    # Neither the site's answer nor what is kept is asked for again.
    assert (second["requested"], second["by_outcome"]) == (2, first["by_outcome"])
    assert server.requested == []
    faster = driver.featurize(options(run, "frames.per_second=2", backbone=other))
    assert (faster.code, server.requested) == (2, [])
    for fingerprint in list_settings(store):
        outcomes = outcomes_table.read_outcomes(store, fingerprint)
        assert sorted(outcomes["frames"].to_pylist()) == [0, 3, 3]


def test_changed_settings_without_kept_videos_stop_the_run(
    options: Options, server: FileServer, plain: Path, driver: Driver, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(plain, tmp_path / "run"))
    server.requested.clear()
    faster = options(run, "frames.per_second=2")
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
    options: Options, server: FileServer, driver: Driver, tmp_path: Path
) -> None:
    store = write_list(tmp_path / "run", server)
    server.requested.clear()
    before = store.list_all_files("")
    with hold_lease(store, "featurize"):
        refused = driver.featurize(options(tmp_path / "run"))
    assert refused.code == 3
    assert f"featurize on {socket.gethostname()} (process {os.getpid()})" in refused.output
    assert store.list_all_files("") == before
    assert server.requested == []
