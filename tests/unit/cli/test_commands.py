from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from bundles import make_bundle, make_manifest, manifest_for
from clips import make_clip
from runs import SETTINGS, Movie, links_table, make_movies, make_run, outcome_row
from servers import AnswerServer, answer, content
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.runs import schemas
from trailergenre.runs.lease import LEASE_FILE, hold_lease
from trailergenre.runs.tables import to_parquet, write_table

HEAVY = {"pyspark", "tensorflow", "keras", "pandas", "sklearn", "PIL", "jinja2"}
"""What trains, and what makes pages."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswerServer]:
    """A clip of three seconds, noise under a video's name, and nothing else."""
    clip = make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", "testsrc2=s=320x320:r=8:d=3")
    answers = {"/a.mp4": content(clip.read_bytes()), "/noise.mp4": content(b"noise" * 100)}
    with answer(answers) as running:
        yield running


@pytest.fixture(scope="module")
def bundle(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for the tiny backbone."""
    directory = tmp_path_factory.mktemp("bundle")
    make_bundle(Store(str(directory)), manifest=manifest_for(tiny_backbone))
    return directory


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def score_arguments(server: AnswerServer, backbone: Path, link: str = "/a.mp4") -> list[str]:
    """`score` of a path of the server, or of a link."""
    link = f"http://{server.address}{link}" if link.startswith("/") else link
    allow = f'network.allow=["{server.address}"]'
    return ["score", link, "--set", f"backbone.path={backbone}", "--set", allow]


def refusal(result: Result) -> str:
    """The one line of a command that was refused."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    "words",
    [
        ["status", "{}"],
        ["verify", "{}"],
        ["report", "{}"],
        ["report", "run", "--out", "{}"],
        ["bundle", "inspect", "{}"],
        ["score", "https://a.example/x.mp4", "--bundle", "{}"],
        ["score", "https://a.example/x.mp4", "--report", "{}"],
        ["score", "https://a.example/x.mp4", "--set", "score.bundle={}"],
        ["backbone", "export", "--out", "{}"],
        ["backbone", "export", "--calibration", "{}", "--precision", "int8"],
        ["backbone", "export", "--set", "backbone.path={}"],
        ["demo", "--out", "{}"],
        ["demo", "--data", "{}"],
        ["doctor", "--config", "{}"],
    ],
)
def test_no_place_of_an_address_takes_or_repeats_a_key(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("s3://key:canary/9f2@bucket/x", "s3://bucket/x?secret_key=canary-9f2"):
        line = refusal(invoke(*(word.format(address) for word in words)))
        assert "canary" not in line
        assert "address" in line
    assert list(tmp_path.iterdir()) == []


def test_score_prints_three_genres_best_first_and_says_that_weights_are_random(
    server: AnswerServer, tiny_backbone: Path, bundle: Path
) -> None:
    result = invoke(*score_arguments(server, tiny_backbone), "--bundle", str(bundle))
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        ["1.", "Horror", "0.400", "no"],
        ["2.", "Drama", "0.300", "no"],
        ["3.", "Comedy", "0.200", "no"],
    ]
    assert result.stdout.count("(threshold 0.500)") == 3
    assert "weights are random" in result.stderr


def test_score_as_json_is_one_object_and_nothing_else(
    server: AnswerServer, tiny_backbone: Path, bundle: Path
) -> None:
    result = invoke(*score_arguments(server, tiny_backbone), "--bundle", str(bundle), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    record = json.loads(line)
    assert [genre["genre"] for genre in record["genres"]] == ["Horror", "Drama", "Comedy", "Action"]
    assert record["genres"][0] == {
        "genre": "Horror",
        "probability": pytest.approx(0.4),
        "threshold": 0.5,
        "is_predicted": False,
    }
    assert (record["url"], record["frames"]) == (f"http://{server.address}/a.mp4", 3)
    assert "weights are random" in record["notes"][0]


def test_bundle_may_stand_in_the_configuration(
    server: AnswerServer, tiny_backbone: Path, bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(f'[score]\nbundle = "{bundle}"\ntop = 1\n')
    result = invoke(*score_arguments(server, tiny_backbone), "--config", str(config))
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("/gone.mp4", "unavailable"),
        ("/noise.mp4", "not_media"),
        ("https://www.youtube.com/channel/UCabcdefghijklmnopqrstuv", "not_a_single_video"),
        ("", "link_invalid: the cell is empty"),
        ("http://10.0.0.1/a.mp4", "host_denied"),
        ("file:///etc/passwd", "scheme: local files"),
    ],
)
def test_bad_link_has_no_score(
    link: str,
    reason: str,
    server: AnswerServer,
    tiny_backbone: Path,
    bundle: Path,
) -> None:
    arguments = score_arguments(server, tiny_backbone, link)
    line = refusal(invoke(*arguments, "--bundle", str(bundle)))
    assert reason in line
    result = invoke(*arguments, "--bundle", str(bundle), "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 2
    assert reason in f"{record['outcome']}: {record['detail']}"
    assert record["genres"] == []


def test_a_list_is_scored_with_its_own_columns_and_resumed(
    server: AnswerServer, tiny_backbone: Path, bundle: Path, tmp_path: Path
) -> None:
    base = f"http://{server.address}"
    listed, out = tmp_path / "new.csv", tmp_path / "genres.csv"
    listed.write_text(
        f"link,movie_title,year\n{base}/a.mp4,Alien,1979\n{base}/noise.mp4,Noise,2001\n"
        f"nonsense,Gone,1999\n{base}/a.mp4,Alien again,1979\n"
    )
    options = score_arguments(server, tiny_backbone)[2:]
    command = ["score", str(listed), *options, "--bundle", str(bundle), "--out", str(out)]
    result = invoke(*command)
    assert result.exit_code == 0, result.output
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["outcome"] for row in rows] == ["ok", "not_media", "link_invalid", "ok"]
    assert [row["row"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["movie_title"] for row in rows] == ["Alien", "Noise", "Gone", "Alien again"]
    first = (rows[0]["year"], rows[0]["Horror"], rows[0]["Horror_predicted"])
    assert first == ("1979", "0.4", "no")
    # The two that went well are kept; what failed is tried again.
    before, asked = out.read_bytes(), dict(server.requested)
    assert invoke(*command).exit_code == 0
    assert out.read_bytes() == before
    assert server.requested["/a.mp4"] == asked["/a.mp4"]
    assert server.requested["/noise.mp4"] > asked["/noise.mp4"]
    # Another list would replace scores that were made: it is refused, and they stay.
    other = tmp_path / "other.csv"
    other.write_text(f"link\n{base}/noise.mp4\n")
    refused = invoke(*("score", str(other)), *command[2:])
    assert (refused.exit_code, out.read_bytes()) == (2, before)
    assert "2 scores of rows that are not in this list" in refused.stderr


def test_a_list_from_standard_input_is_scored_by_the_column_that_is_named(
    server: AnswerServer, tiny_backbone: Path, bundle: Path
) -> None:
    # Nothing tells which column has the genres, which are not needed.
    listed = f"Watch,Link,Genre,Labels\nhttp://{server.address}/a.mp4,https://a.example,x,y\n"
    options = score_arguments(server, tiny_backbone)[2:]
    command = ["score", "-", *options, "--bundle", str(bundle), "--json"]
    result = CliRunner().invoke(app, [*command, "--url-column", "watch"], input=listed)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["url"] == f"http://{server.address}/a.mp4"
    assert record["list"]["Labels"] == "y"


def test_a_folder_and_several_links_are_scored_in_order(
    server: AnswerServer, tiny_backbone: Path, bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "horror"
    folder.mkdir()
    clip = make_clip(folder / "x.mp4", "testsrc2=s=320x320:r=8:d=2")
    options = [*score_arguments(server, tiny_backbone)[2:], "--bundle", str(bundle), "--json"]
    link = f"http://{server.address}/a.mp4"
    result = invoke("score", str(tmp_path), link, str(clip), *options)
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["url"] for record in records] == [clip.as_uri(), link, clip.as_uri()]
    assert [record["list"]["row"] for record in records] == [1, 2, 3]
    assert records[0]["genres"] == records[2]["genres"]


def test_a_local_file_in_a_list_needs_permission(
    server: AnswerServer, tiny_backbone: Path, bundle: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "x.mp4", "testsrc2=s=320x320:r=8:d=2")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{clip}\n")
    options = [*score_arguments(server, tiny_backbone)[2:], "--bundle", str(bundle)]
    result = invoke("score", str(listed), *options)
    assert result.exit_code == 2
    assert "links.allowed_roots" in result.stderr
    assert invoke("score", str(clip), *options).exit_code == 0


def test_the_only_bundle_of_the_runs_is_found_with_the_network_that_it_carries(
    server: AnswerServer,
    tiny_backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = manifest_for(tiny_backbone)
    make_bundle(Store(str(tmp_path / "runs/mine/bundle")), manifest=manifest)
    shutil.copytree(tiny_backbone, tmp_path / "runs/mine/bundle/backbone")
    link, allow = score_arguments(server, tiny_backbone)[1], f'network.allow=["{server.address}"]'
    result = invoke("score", link, "--set", allow)
    assert result.exit_code == 0, result.output
    assert "model: runs/mine/bundle" in result.stderr
    make_bundle(Store(str(tmp_path / "runs/other/bundle")), manifest=manifest)
    assert "several bundles: runs/mine/bundle, runs/other/bundle" in refusal(
        invoke("score", link, "--set", allow)
    )


def test_score_without_a_bundle_says_how_to_make_one(
    server: AnswerServer, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refusal(invoke(*score_arguments(server, tiny_backbone)))
    assert "trailergenre run LIST" in line
    assert "trailergenre demo" in line


def test_bundle_for_another_backbone_is_refused_before_any_download(
    server: AnswerServer, tiny_backbone: Path, tmp_path: Path
) -> None:
    make_bundle(Store(str(tmp_path)), manifest=make_manifest())
    asked = dict(server.requested)
    line = refusal(invoke(*score_arguments(server, tiny_backbone), "--bundle", str(tmp_path)))
    assert SETTINGS.backbone_id in line
    assert server.requested == asked


def test_tampered_bundle_is_refused(
    server: AnswerServer, tiny_backbone: Path, tmp_path: Path
) -> None:
    make_bundle(Store(str(tmp_path)), manifest=manifest_for(tiny_backbone))
    forest = tmp_path / "forest.safetensors"
    forest.write_bytes(forest.read_bytes()[:-1] + b"x")
    line = refusal(invoke(*score_arguments(server, tiny_backbone), "--bundle", str(tmp_path)))
    assert "forest.safetensors" in line
    assert "checksum" in line


def test_missing_bundle_and_missing_backbone_are_told_apart(
    server: AnswerServer, tiny_backbone: Path, bundle: Path, tmp_path: Path
) -> None:
    nothing = str(tmp_path / "nothing")
    assert "no model bundle" in refusal(
        invoke(*score_arguments(server, tiny_backbone), "--bundle", nothing)
    )
    line = refusal(invoke(*score_arguments(server, Path(nothing)), "--bundle", str(bundle)))
    assert "The bundle needs the network" in line and "--set backbone.path=DIR" in line


@pytest.mark.parametrize("manifest", ['{"network": 1}', "[]", "no JSON", ""])
def test_broken_backbone_is_one_line(
    manifest: str, server: AnswerServer, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    line = refusal(invoke(*score_arguments(server, tmp_path), "--bundle", str(bundle)))
    assert f"{tmp_path}/manifest.json cannot be used" in line or "Field required" in line


def test_score_imports_neither_spark_nor_tensorflow_nor_what_trains_or_makes_pages(
    server: AnswerServer, tiny_backbone: Path, bundle: Path
) -> None:
    arguments = [*score_arguments(server, tiny_backbone), "--bundle", str(bundle)]
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "trailergenre", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}
    assert len(ended.stdout.splitlines()) == 3
    assert "onnxruntime" in imported
    assert imported & HEAVY == set()


def test_inspect_prints_the_model_card(bundle: Path) -> None:
    result = invoke("bundle", "inspect", str(bundle))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (bundle / "MODEL_CARD.md").read_text()


def test_inspect_as_json_is_the_manifest(bundle: Path) -> None:
    result = invoke("bundle", "inspect", str(bundle), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    content = (bundle / "manifest.json").read_bytes()
    assert record.pop("sha256") == hashlib.sha256(content).hexdigest()
    kept = json.loads(content)
    assert record == {key: value for key, value in kept.items() if key != "files"}


@pytest.mark.parametrize("name", ["split.parquet", "forest.safetensors", "MODEL_CARD.md"])
def test_a_broken_bundle_is_not_inspected(tmp_path: Path, name: str) -> None:
    make_bundle(Store(str(tmp_path)))
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    assert f"{name} in" in refusal(invoke("bundle", "inspect", str(tmp_path)))


def test_inspect_needs_nothing_that_trains(bundle: Path) -> None:
    code = (
        "import sys; from trailergenre.cli.commands import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        f"assert not {HEAVY - {'jinja2'}} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, "bundle", "inspect", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_status_of_a_made_run(tmp_path: Path) -> None:
    movies = make_movies(5, frames=4)
    fingerprint = make_run(Store(str(tmp_path)), [*movies[:4], Movie(movies[4].link, None)])
    result = invoke("status", str(tmp_path))
    assert result.exit_code == 0
    first, second, third = result.stdout.splitlines()
    assert first == f"features {fingerprint}: 4 ok, 1 failed of 5 links; 16 frames, 1 not_media"
    assert second.startswith("last commit ")
    assert third == "at work: none"


def test_status_as_json(tmp_path: Path) -> None:
    fingerprint = make_run(Store(str(tmp_path)), make_movies(3, frames=2))
    result = invoke("status", str(tmp_path), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "features": fingerprint,
        "at_work": None,
        "ready": 3,
        "finished": 3,
        "by_outcome": {"ok": 3},
        "frames": 6,
        "links_per_s": None,
        "eta_s": None,
        "last_commit_at": "2026-01-01T00:00:00+00:00",
    }


@pytest.fixture
def half_done(tmp_path: Path) -> Store:
    """Four of five links: three were committed at one moment, one 20 s later."""
    store, movies = Store(str(tmp_path / "run")), make_movies(5, frames=2)
    fingerprint = make_run(store, movies[:3])
    write_table(store, "links", links_table([movie.link for movie in movies]))
    row = outcome_row(movies[3].link.link_id, Outcome.CONNECT)
    row["finished_at"] += timedelta(seconds=20)
    content = to_parquet(pa.Table.from_pylist([row], schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{fingerprint}", content, ".parquet")
    return store


def test_a_run_that_nobody_works_on_has_neither_pace_nor_end(half_done: Store) -> None:
    figures = json.loads(invoke("status", str(half_done), "--json").stdout)
    told = ("finished", "at_work", "links_per_s", "eta_s")
    assert [figures[name] for name in told] == [4, None, None, None]
    shown = invoke("status", str(half_done)).stdout
    assert "at work: none" in shown
    assert "/min" not in shown
    assert "ETA" not in shown


def test_a_run_at_work_says_who_works_how_fast_and_until_when(half_done: Store) -> None:
    with hold_lease(half_done, "featurize"):
        held = json.loads(half_done.read_bytes(LEASE_FILE))
        held["started_at"] = "2025-12-31T23:59:40+00:00"
        half_done.write_bytes(LEASE_FILE, json.dumps(held).encode())
        figures = json.loads(invoke("status", str(half_done), "--json").stdout)
        shown = invoke("status", str(half_done)).stdout
    assert figures["at_work"].startswith("featurize on ")
    assert (figures["links_per_s"], figures["eta_s"]) == (4 / 40, 10.0)
    assert "3 ok, 1 failed of 5 links, 6.0/min, ETA 0:10; 6 frames, 1 connect" in shown
    assert f"at work: {figures['at_work']}\n" in shown


@pytest.mark.parametrize("command", ["status", "verify", "report", "bundle inspect"])
def test_as_json_an_answer_is_one_line_and_stdout_has_nothing_else(
    command: str, bundle: Path, tmp_path: Path
) -> None:
    make_run(Store(str(tmp_path)), make_movies(3, frames=2))
    asked = bundle if command == "bundle inspect" else tmp_path
    result = invoke(*command.split(), str(asked), "--json")
    (line,) = result.stdout.splitlines()
    assert isinstance(json.loads(line), dict)
    assert result.stderr == ""


@pytest.mark.parametrize("command", ["status", "verify", "report --json"])
def test_of_several_feature_sets_the_one_of_the_settings_is_taken_or_the_chosen_one(
    tmp_path: Path, command: str
) -> None:
    store = Store(str(tmp_path))
    first = make_run(store, make_movies(2))
    second = make_run(store, make_movies(2), settings=replace(SETTINGS, frames_per_s=2.0))
    asked = [*command.split(), str(tmp_path)]
    if command == "status":
        for rate, fingerprint in ((1, first), (2, second)):
            result = invoke(*asked, "--set", f"frames.per_second={rate}")
            assert (result.exit_code, fingerprint in result.stdout) == (0, True)
        result = invoke(*asked, "--features", second)
        assert (result.exit_code, second in result.stdout) == (0, True)
    # Whatever the settings name, they are there.
    assert invoke(*asked).exit_code in (0, 1)
    line = refusal(invoke(*asked, "--set", "frames.per_second=4"))
    assert first in line
    assert second in line


@pytest.mark.parametrize("command", ["status", "verify", "report"])
def test_a_run_that_is_not_there_is_told_from_one_without_features(
    command: str, tmp_path: Path
) -> None:
    assert "Run `trailergenre featurize` first" in refusal(invoke(command, str(tmp_path)))
    line = refusal(invoke(command, str(tmp_path / "typo")))
    assert f"There is no run at {tmp_path / 'typo'}" in line
    assert "featurize" not in line
    assert list(tmp_path.iterdir()) == []


def test_status_counts_the_links_of_the_present_list(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(3, frames=2)
    make_run(store, movies)
    write_table(store, "links", links_table([movies[0].link]))
    result = invoke("status", str(tmp_path), "--json")
    figures = json.loads(result.stdout)
    assert (figures["ready"], figures["finished"], figures["by_outcome"]) == (1, 1, {"ok": 1})


def test_a_demo_that_is_stopped_does_not_say_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trailergenre.cli.demo.run.run_demo", stop)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 130
    assert result.stderr == "\nstopped.\n"
