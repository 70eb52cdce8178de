from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import numpy as np
import pyarrow as pa
import pytest
from pyspark import TaskContext
from pyspark.sql import SparkSession

from clips import make_clip
from lists import as_links
from runs import outcome_row
from servers import answer, content, redirect, status
from servers.manifests import videos
from trailergenre.base.config import (
    BackboneConfig,
    Config,
    HostConfig,
    LinksConfig,
    NetworkConfig,
)
from trailergenre.base.errors import ClusterError, ConfigError, ToolMissingError, WeightsError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, LinkId
from trailergenre.base.storage import Store
from trailergenre.features.backbone import load_embedder, read_manifest
from trailergenre.features.chunks import Commit, featurize_task
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import TaskSettings, feature_settings, task_settings
from trailergenre.frames.ffmpeg import ffmpeg_major
from trailergenre.runs import features_table, outcomes_table, schemas, tables
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.spark import featurize
from trailergenre.spark.featurize import featurize_links
from trailergenre.spark.session import worker_failures
from trailergenre.videos.pacing import HostPacer, HostState, HostStates


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> list[Link]:
    """Clips of 3, 2 and 1 seconds, and noise."""
    directory = tmp_path_factory.mktemp("clips")
    clips = [
        make_clip(directory / "a.mp4", "testsrc2=s=320x320:r=8:d=3"),
        make_clip(directory / "b.mp4", "mandelbrot=s=320x320:r=8", "-t", "2"),
        make_clip(directory / "c.mp4", "color=red:s=320x320:r=8:d=1"),
    ]
    noise = directory / "noise.mp4"
    noise.write_bytes(b"noise")
    return as_links([path.as_uri() for path in (*clips, noise)])


@pytest.fixture
def settings(links: list[Link], tiny_backbone: Path, tmp_path: Path) -> TaskSettings:
    """Settings of an empty run."""
    root = str(Path(links[0].url.removeprefix("file://")).parent)
    config = Config(
        links=LinksConfig(allowed_roots=(root,)), backbone=BackboneConfig(path=str(tiny_backbone))
    )
    features = feature_settings(config, read_manifest(tiny_backbone))
    return replace(task_settings(config, Store(str(tmp_path)), features), videos=None, frames=None)


def with_features(settings: TaskSettings, **changes: object) -> TaskSettings:
    """The same for other features."""
    return replace(settings, features=replace(settings.features, **changes))  # type: ignore[arg-type]


OPEN = HostPacer({}, HostStates(HostState), n_slots=1, max_rest_s=900)


def committed(settings: TaskSettings) -> pa.Table:
    """The outcomes of a run."""
    return outcomes_table.read_outcomes(settings.store, settings.features.fingerprint)


def read_features(settings: TaskSettings) -> dict[str, np.ndarray]:
    """Committed features, shape (n, 2048), by link."""
    store = settings.store
    rows = [
        row
        for part in features_table.iter_features(store, committed(settings))
        for row in part.sort_by("frame_index").to_pylist()
    ]
    by_link: dict[str, list[list[float]]] = {}
    for row in rows:
        by_link.setdefault(row["link_id"], []).append(row["features"])
    return {link: np.array(frames, np.float32) for link, frames in by_link.items()}


def test_every_link_is_committed_with_the_features_it_has_without_spark(
    spark: SparkSession, links: list[Link], settings: TaskSettings
) -> None:
    featurize_links(spark, links, settings)
    outcomes = committed(settings).to_pylist()
    found = {row["link_id"]: (row["outcome"], row["frames"]) for row in outcomes}
    expected = [("ok", 3), ("ok", 2), ("ok", 1), ("not_media", 0)]
    assert [found[link.link_id] for link in links] == expected

    embedder = load_embedder(settings.config.backbone)
    alone = list(embed_links(links[:3], settings, embedder))
    features = read_features(settings)
    assert set(features) == {link.link_id for link in links[:3]}
    for record in alone:
        np.testing.assert_array_equal(features[record.link.link_id], record.features)


def keeping_frames(settings: TaskSettings, key: str = "key") -> TaskSettings:
    """The same in two stages."""
    return replace(settings, frames=KeptFrames(settings.store, key, keeps_new=True))


def test_kept_frames_give_the_bytes_that_nothing_kept_gives(
    spark: SparkSession, links: list[Link], settings: TaskSettings, tmp_path: Path
) -> None:
    kept = keeping_frames(replace(settings, store=Store(str(tmp_path / "kept"))))
    (only,) = featurize_links(spark, links, settings)
    first, second = featurize_links(spark, links, kept)
    assert [stage.name for stage in (only, first, second)] == ["embed", "sample", "embed"]
    # Who failed in the first stage has its outcome, and is not taken by the second.
    assert [sum(spent.links for _, spent in stage.commits) for stage in (first, second)] == [4, 3]
    assert [sum(spent.frames for _, spent in stage.commits) for stage in (only, first, second)] == [
        6,
        6,
        6,
    ]
    features = [read_features(each) for each in (settings, kept)]
    assert features[0].keys() == features[1].keys()
    for link_id, values in features[0].items():
        np.testing.assert_array_equal(values, features[1][link_id])
    columns = ["link_id", "outcome", "frames", "attempts", "size_bytes", "width_px"]
    rows = [
        committed(each).select(columns).sort_by("link_id").to_pylist() for each in (settings, kept)
    ]
    assert rows[0] == rows[1]


def test_where_no_link_has_frames_nothing_is_embedded(
    spark: SparkSession, links: list[Link], settings: TaskSettings
) -> None:
    (only,) = featurize_links(spark, links[3:], keeping_frames(settings))
    assert (only.name, [spent.links for _, spent in only.commits]) == ("sample", [1])
    (row,) = committed(settings).to_pylist()
    assert row["outcome"] == "not_media"


def test_a_first_stage_that_is_tried_again_takes_no_link_whose_frames_are_kept(
    links: list[Link], settings: TaskSettings
) -> None:
    keeping = keeping_frames(settings)
    (first,) = featurize._sample(links[:2], keeping, OPEN)
    (again,) = featurize._sample(links, keeping, OPEN)
    assert (first.spent.links, again.spent.links) == (2, 2)
    assert again.outcomes["outcome"].to_pylist() == ["not_media"]
    assert again.outcomes["engine"].to_pylist() == ["none"]


def test_a_gpu_is_not_shared_by_the_slots_of_one_machine(
    spark: SparkSession, links: list[Link], settings: TaskSettings
) -> None:
    backbone = settings.config.backbone.model_copy(update={"device": "gpu"})
    gpu = replace(settings, config=settings.config.model_copy(update={"backbone": backbone}))
    with pytest.raises(ConfigError, match=r"Received: --master local\[2\]"):
        featurize_links(spark, links, gpu)


def over_http(settings: TaskSettings, address: str, **more: object) -> TaskSettings:
    """The same for links of a server, without retries."""
    limits = settings.config.limits.model_copy(update={"attempts": 1})
    update = {"network": NetworkConfig(allow=(address,)), "limits": limits, **more}
    return replace(settings, config=settings.config.model_copy(update=update))


@pytest.mark.parametrize(("lanes", "asking"), [(None, 2), (1, 1), (2, 2)])
def test_a_host_that_throttles_everything_is_soon_left_alone(
    spark: SparkSession, settings: TaskSettings, lanes: int | None, asking: int
) -> None:
    hosts = {"127.0.0.1": HostConfig(lanes=lanes, seconds_between=0.1)} if lanes else {}
    with answer({"/*": status(429)}) as server:
        links = as_links(f"http://{server.address}/{number}.mp4" for number in range(12))
        featurize_links(spark, links, over_http(settings, server.address, hosts=hosts))
        n_asked = len(server.requests)
    rows = committed(settings).to_pylist()
    assert {row["outcome"] for row in rows} == {"deferred"}
    assert all("429" in row["detail"] for row in rows)
    assert len(rows) == 12
    assert n_asked == sum(row["attempts"] for row in rows) <= 5 + asking


@pytest.mark.parametrize("keeps", [False, True])
def test_links_that_lead_to_a_paced_host_ask_it_at_its_pace(
    spark: SparkSession, links: list[Link], settings: TaskSettings, keeps: bool
) -> None:
    clip = Path(links[2].url.removeprefix("file://")).read_bytes()
    hosts = {"127.1": HostConfig(seconds_between=1)}
    with answer({"/film/*": content(clip)}) as server:
        # Another name of the same server.
        films = [f"http://127.1:{server.server_address[1]}/film/{n}.mp4" for n in range(4)]
        server.answers["/short/2"] = redirect(films[2])
        server.answers["/short/3"] = videos([films[3]])
        short = [f"http://{server.address}/short/{n}" for n in (2, 3)]
        of_server = over_http(settings, server.address, hosts=hosts)
        if keeps:
            of_server = keeping_frames(of_server)
        stages = featurize_links(spark, as_links([*films[:2], *short]), of_server)
        asked = [request for request in server.requests if "/film/" in request.path]
    names = ["sample", "sample", "embed"] if keeps else ["embed", "embed"]
    assert [stage.name for stage in stages] == names
    assert [sum(spent.links for _, spent in stage.commits) for stage in stages[:2]] == [2, 2]
    rows = committed(settings).to_pylist()
    assert [row["outcome"] for row in rows] == ["ok"] * 4
    firsts = sorted({request.path: request.at_s for request in reversed(asked)}.values())
    assert len(firsts) == 4
    # The server's clock begins when it reads the request, the pacer's when the child connects.
    assert min(b - a for a, b in itertools.pairwise(firsts)) > 0.9


COOKIES = "# Netscape HTTP Cookie File\n.c-span.org\tTRUE\t/\tFALSE\t4000000000\tsession\t{}\n"


def test_no_secret_is_sent_to_the_workers(
    spark: SparkSession,
    links: list[Link],
    settings: TaskSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: list[bytes],
) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(COOKIES.format("canary-9f2"))
    monkeypatch.setenv("SET_ON_THE_DRIVER_ALONE", "http://me:canary-9f2@127.0.0.1:1")
    network = NetworkConfig(
        cookie_file=str(cookies), proxy_variable="SET_ON_THE_DRIVER_ALONE", cookie_sites=("cspan",)
    )
    config = settings.config.model_copy(update={"network": network})
    secretive = task_settings(config, settings.store, settings.features)
    lacking = rf"Worker {gethostname()}: .*SET_ON_THE_DRIVER_ALONE is not set.* docs/cluster"
    with pytest.raises(ClusterError, match=lacking), worker_failures():
        featurize_links(spark, links, secretive)
    assert any(b"cookies.txt" in each for each in sent)
    assert not [each for each in sent if b"canary-9f2" in each]
    assert committed(settings).num_rows == 0


def test_worker_with_another_ffmpeg_fails_the_run_by_name(
    spark: SparkSession, links: list[Link], settings: TaskSettings
) -> None:
    other = with_features(settings, ffmpeg_major=ffmpeg_major() + 1)
    with pytest.raises(ClusterError, match=f"the driver {ffmpeg_major() + 1}"), worker_failures():
        featurize_links(spark, links[:1], other)
    assert settings.store.list_files("") == []


def test_task_that_is_tried_again_takes_only_what_its_predecessor_left(
    links: list[Link], settings: TaskSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Attempt:
        def __init__(self, number: int) -> None:
            self.attemptNumber = lambda: number
            self.partitionId = lambda: 0

    def attempt(number: int, of: list[Link]) -> list[str]:
        monkeypatch.setattr(TaskContext, "get", lambda: Attempt(number))
        taken: list[str] = []

        def commit(chunk: Iterable[Link], *rest: object) -> Iterator[Commit]:
            links = list(chunk)
            taken.extend(link.link_id for link in links)
            return featurize_task(links, *rest)

        monkeypatch.setattr(featurize, "featurize_task", commit)
        list(featurize._embed(of, settings, OPEN))
        return taken

    assert attempt(0, links[:2]) == [link.link_id for link in links[:2]]
    assert featurize._without_committed(links, settings) == links[2:]
    assert attempt(1, links) == [link.link_id for link in links[2:]]
    assert attempt(2, links) == []
    # What an earlier run committed is no reason not to retry.
    again = replace(links[3], round=1)
    assert attempt(1, [links[0], again]) == [again.link_id]
    assert attempt(2, [links[0], again]) == []


def test_a_retry_that_was_deferred_is_not_asked_for_again_by_the_same_task(
    links: list[Link], settings: TaskSettings
) -> None:
    failed = outcome_row(links[0].link_id, Outcome.CONNECT)
    deferred = outcome_row(links[0].link_id, Outcome.DEFERRED) | {"round": 1}
    content = tables.to_parquet(pa.Table.from_pylist([failed, deferred], schemas.OUTCOMES))
    settings.store.write_content_addressed(
        f"outcomes/{settings.features.fingerprint}", content, ".parquet"
    )
    again = replace(links[0], round=1)
    assert featurize._without_committed([again, links[1]], settings) == [links[1]]


def test_a_worker_under_an_address_space_limit_is_refused(
    links: list[Link], settings: TaskSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda kind: (1 << 30, 1 << 30))
    with pytest.raises(ConfigError, match=r"spark\.executor\.pyspark\.memory"):
        featurize._embed(links, settings, OPEN)
    assert settings.store.list_files("") == []


def test_another_ffmpeg_is_found_before_anything_is_read(
    links: list[Link], settings: TaskSettings
) -> None:
    other = with_features(settings, ffmpeg_major=1)
    with pytest.raises(ToolMissingError, match="the driver 1"):
        featurize._embed(links, other, OPEN)


def test_worker_with_another_backbone_fails_before_anything_is_committed(
    links: list[Link], settings: TaskSettings
) -> None:
    other = with_features(settings, backbone_id="driver's")
    with pytest.raises(
        WeightsError, match=rf"is {settings.features.backbone_id}, the driver's is driver's"
    ):
        featurize._embed(links, other, OPEN)
    assert settings.store.list_files("") == []


def test_worker_with_another_calibration_fails_before_anything_is_committed(
    links: list[Link], settings: TaskSettings
) -> None:
    other = with_features(settings, calibration="driver's")
    with pytest.raises(WeightsError, match=r"int8 network at .* is none, .* is driver's"):
        featurize._embed(links, other, OPEN)
    assert settings.store.list_files("") == []


def test_a_chunk_is_a_task_of_the_only_stage(
    spark: SparkSession, links: list[Link], settings: TaskSettings
) -> None:
    """A stage behind a shuffle may be run again, with attempts that count from 0 again."""
    spark.sparkContext.setJobGroup("one stage", "")
    featurize_links(spark, links, settings)
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup("one stage")]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    assert [stage.numTasks for stage in stages if stage] == [4]


def test_where_executors_come_by_demand_the_list_is_cut_for_those_that_may_come(
    spark: SparkSession,
    links: list[Link],
    settings: TaskSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(featurize, "coming_slots", lambda spark, on_gpus: 1)
    noise = [replace(links[3], link_id=LinkId(f"{number:064}")) for number in range(8)]
    (stage,) = featurize_links(spark, noise, settings)
    # A commit a task; for the two slots that are there it would be eight of them.
    assert [spent.links for _, spent in stage.commits] == [2, 2, 2, 2]


def test_tasks_find_paths_that_the_driver_was_given(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "cookies.txt").write_text(COOKIES.format("session"))
    config = Config(
        links=LinksConfig(allowed_roots=("clips", "~/clips")),
        network=NetworkConfig(cookie_file="cookies.txt"),
        backbone=BackboneConfig(path="backbone"),
    )
    store, features = Store("run"), feature_settings(config, read_manifest(tiny_backbone))
    settings = task_settings(config, store, features)
    assert settings.config.backbone.path == str(tmp_path / "backbone")
    assert settings.config.network.cookie_file == str(tmp_path / "cookies.txt")
    roots = settings.config.links.allowed_roots
    assert roots == (str(tmp_path / "clips"), str(tmp_path / "home" / "clips"))
