"""What strangers wrote reaches the terminal as text, whichever command prints it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from pymongo import MongoClient

from bundles import make_bundle, make_manifest, manifest_for
from clips import make_clip
from mongos import destination_at, publish
from runs import GENRES, SETTINGS, make_movies, make_run
from servers import AnswerServer, answer, content
from submits import load_job
from terminals import terminal
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.cli.entry import CommandLine
from trailergenre.runs.lease import LEASE_FILE, Lease

HOSTILE = "\x1b]0;x\x07\r\x9b31m\u202e\u2028[red]\nerror: forged"
"""The window's title, a return, a colour, a change of direction, line breaks, rich's markup."""
ESCAPED = r"\u001b]0;x\u0007\r\u009b31m\u202e\u2028[red]\nerror: forged"


def unsafe(text: str) -> list[str]:
    """Characters that a terminal obeys, or that hide or turn others."""
    return [c for c in text if not c.isprintable() and c != "\n"]


Run = Callable[..., str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command as the shell does; gives all it printed, if all of that can be shown."""

    def run(command: CommandLine, *words: str | Path) -> str:
        with pytest.raises(SystemExit):
            command([str(word) for word in words])
        output = capsys.readouterr()
        both = output.out + output.err
        assert unsafe(both) == []
        assert "\nerror: forged" not in both
        return both

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("name", ["status", "verify", "report"])
def test_a_command_that_finds_no_run(name: str, shown: Run, tmp_path: Path) -> None:
    assert ESCAPED in shown(app, name, tmp_path / HOSTILE)


@pytest.mark.parametrize(
    ("job", "options"),
    [
        ("featurize", ()),
        ("train_model", ("--bundle", "b")),
        ("evaluate_model", ("--bundle", HOSTILE)),
        ("predict_genres", ("--bundle", HOSTILE)),
        ("publish_features", ()),
        ("prepare_dataset", ("--links", HOSTILE)),
    ],
)
def test_a_job_that_cannot_begin(
    job: str,
    options: tuple[str, ...],
    tiny_backbone: Path,
    shown: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [tmp_path / HOSTILE, *options]
    if job == "featurize":
        words += ["--set", f"backbone.path={tiny_backbone}"]
    assert ESCAPED in shown(load_job(job).app, *words)


@pytest.mark.parametrize("name", ["verify", "status", "report"])
def test_a_run_whose_directory_has_such_a_name(name: str, shown: Run, tmp_path: Path) -> None:
    directory = tmp_path / HOSTILE
    make_run(Store(str(directory)), make_movies(2))
    output = shown(app, name, directory)
    assert name == "status" or ESCAPED in output


def test_who_works_on_a_run(shown: Run, tmp_path: Path) -> None:
    store, now = Store(str(tmp_path)), datetime.now(UTC)
    make_run(store, make_movies(1))
    lease = Lease(
        host="elsewhere", pid=1, process_started_at=0.0, stage=HOSTILE, started_at=now,
        refreshed_at=now, token="x",
    )  # fmt: skip
    store.write_bytes(LEASE_FILE, lease.model_dump_json().encode())
    assert f"at work: {ESCAPED} on elsewhere" in shown(app, "status", tmp_path)


def test_genres_of_a_list(shown: Run, tmp_path: Path) -> None:
    names = ["Horror\x1b[31m", "Drama\u202e", "[red]Comedy"]
    table = pyarrow.table(
        {"url": [f"https://a.org/{n}.mp4" for n in range(3)], "genres": [[name] for name in names]}
    )
    pyarrow.parquet.write_table(table, tmp_path / "links.parquet")
    output = shown(
        load_job("prepare_dataset").app, tmp_path / "run", "--links", tmp_path / "links.parquet"
    )
    assert "3  rows of" in output


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswerServer]:
    clip = make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", "testsrc2=s=320x320:r=8:d=3")
    with answer({"/a.mp4": content(clip.read_bytes())}) as running:
        yield running


@pytest.fixture(scope="module")
def hostile_bundle(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One genre has a hostile name."""
    manifest = manifest_for(tiny_backbone)
    genres = (*GENRES[:-1], HOSTILE)
    directory = tmp_path_factory.mktemp("bundle")
    update = {"genres": genres, "versions": {HOSTILE: HOSTILE}}
    make_bundle(Store(str(directory)), manifest=manifest.model_copy(update=update))
    return directory


def score_words(server: AnswerServer, backbone: Path, bundle: Path, path: str) -> list[str]:
    return [
        *("score", f"http://{server.address}{path}", "--bundle", str(bundle)),
        *("--set", f"backbone.path={backbone}", "--set", f'network.allow=["{server.address}"]'),
    ]


def test_genres_of_a_bundle(
    server: AnswerServer, tiny_backbone: Path, hostile_bundle: Path, shown: Run
) -> None:
    words = score_words(server, tiny_backbone, hostile_bundle, "/a.mp4")
    assert f"1. {ESCAPED}" in shown(app, *words)
    shown(app, *words, "--json")
    shown(app, "bundle", "inspect", hostile_bundle)
    shown(app, "bundle", "inspect", hostile_bundle, "--json")


def test_a_link_without_a_score(
    server: AnswerServer, tiny_backbone: Path, hostile_bundle: Path, shown: Run
) -> None:
    words = score_words(server, tiny_backbone, hostile_bundle, f"/{HOSTILE}")
    assert "error: no score for" in shown(app, *words)


def test_on_a_terminal_too(
    server: AnswerServer, tiny_backbone: Path, hostile_bundle: Path, tmp_path: Path
) -> None:
    """There our own bar is drawn with codes, and a stranger's codes are still text."""
    words = score_words(server, tiny_backbone, hostile_bundle, "/a.mp4")
    command = [sys.executable, "-m", "trailergenre", *words]
    with terminal(command, env={"PATH": "/usr/bin:/bin", "TERM": "xterm"}, cwd=tmp_path) as window:
        assert window.wait(60) == 0
    screen = window.screen()
    assert "\x1b[?25l" in screen  # the bar hides the cursor
    assert ESCAPED in screen
    assert not re.search("\x1b\\]|\x07|\x9b|\u202e|\u2028", screen)


def test_a_programs_path(shown: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", HOSTILE)
    assert ESCAPED in shown(app, "doctor", "--set", f"backbone.path={HOSTILE!r}")


def test_documents_of_a_collection(
    shown: Run, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", mongo_uri)
    store, destination = Store(str(tmp_path)), destination_at(mongo_uri)
    make_run(store, make_movies(1))
    database = f"mongo.database={destination.config.database}"
    with MongoClient(mongo_uri) as client:
        frames = client[destination.config.database]["frames"]
        frames.insert_one({"_id": HOSTILE})
        job = load_job("publish_features").app
        assert "holds documents" in shown(job, tmp_path, "--set", database)
        frames.drop()
        publish(destination, store, SETTINGS.fingerprint)
        link = frames.find_one()["link_id"]
        frames.insert_one({"_id": HOSTILE, "link_id": link})
        verify = (app, "verify", tmp_path, "--mongo", "--set", database)
        assert f"extra: {ESCAPED}" in shown(*verify)
        shown(*verify, "--json")
        meta = client[destination.config.database]["frames_meta"]
        meta.update_one({}, {"$set": {"fingerprint": HOSTILE, "precision": HOSTILE}})
        assert ESCAPED in shown(*verify)


@pytest.mark.parametrize(
    "words",
    [
        (HOSTILE,),
        ("status", "run", HOSTILE),
        ("status", f"--{HOSTILE}"),
        ("status", "run", "--set", HOSTILE),
        ("backbone", "export", "--precision", HOSTILE),
    ],
)
def test_options_that_are_refused(words: tuple[str, ...], shown: Run) -> None:
    assert "Error" in shown(app, *words).title()


FAULTY = """
import logging, sys, warnings
from trailergenre.cli.entry import CommandLine, entry

text = {text!r}
app = CommandLine()

@app.command()
@entry
def fail() -> None:
    logging.getLogger("x").warning("quotes %s", text)
    warnings.warn(text)
    print(text)
    sys.stderr.writelines([text])
    raise KeyError("x", Exception(text)) from Exception(text)

app()
"""


def test_a_fault_of_ours_a_log_and_what_a_package_prints() -> None:
    """Line breaks stay: a traceback has them itself."""
    code = FAULTY.format(text=HOSTILE)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert unsafe(done.stdout + done.stderr) == []
    assert done.stderr.count(r"\u001b]0;x\u0007") >= 4


def test_what_the_locale_cannot_write_is_escaped(tmp_path: Path) -> None:
    directory = tmp_path / "caf\u00e9"
    make_run(Store(str(directory)), make_movies(1))
    done = subprocess.run(
        [sys.executable, "-m", "trailergenre", "report", str(directory)],
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.endswith(rb"caf\xe9/reports/run.html" + b"\n")


def test_a_card_shows_names_as_text(shown: Run, tmp_path: Path) -> None:
    make_bundle(
        Store(str(tmp_path)),
        manifest=make_manifest().model_copy(update={"not_modelled": {HOSTILE: 1}}),
    )
    assert "Not modelled" in shown(app, "bundle", "inspect", tmp_path)
