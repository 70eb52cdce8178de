"""Run the whole pipeline once, by the commands that a user would type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from trailergenre.base.errors import ConfigError, ExitCode, RunError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.base.terminal import open_console
from trailergenre.base.versions import check_java
from trailergenre.cli.demo.clips import make_clips, serve_files
from trailergenre.features.backbone import read_manifest
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint

_PORT = 8299
_KEPT = {"backbone"}
"""What a demo takes over from an earlier one: the network takes half a minute."""
_PAGES = {
    "run.html": "Outcome of the links",
    "evaluation.html": "Quality of the model",
    "score.html": "Genres of one trailer",
}


@dataclass(frozen=True)
class _Demo:
    """The output directory, and how commands are run in it."""

    out: Path
    console: Console
    env: dict[str, str] = field(default_factory=dict)
    """Variables of the commands, besides those of this process."""

    @property
    def config(self) -> Path:
        return self.out / "config.toml"

    @property
    def store(self) -> Store:
        return Store(str(self.out / "run"))

    @property
    def reports(self) -> Path:
        return self.out / "run" / "reports"

    def command(
        self,
        name: str,
        *arguments: str,
        accepted: Collection[ExitCode] = (ExitCode.FINISHED,),
        stderr: int | None = None,
    ) -> None:
        """Run a command of `trailergenre`."""
        command = [sys.executable, "-m", "trailergenre", *name.split(), *arguments]
        self.run(command, accepted=accepted, stderr=stderr)

    def stage(
        self, name: str, *arguments: str, accepted: Collection[ExitCode] = (ExitCode.FINISHED,)
    ) -> None:
        """Run a stage of the run."""
        self.command(name, str(self.out / "run"), *arguments, accepted=accepted)

    def run(
        self,
        command: list[str],
        *,
        accepted: Collection[ExitCode] = (ExitCode.FINISHED,),
        stderr: int | None = None,
    ) -> None:
        """Print a command, run it, and print its time; a RunError unless its code is `accepted`."""
        self.console.rule(style="dim")
        self.console.print(f"$ {' '.join(map(_quote, command))}", style="bold")
        started = time.monotonic()
        # Spark warns about a host name that it cannot resolve.
        env = {"SPARK_LOCAL_IP": "127.0.0.1"} | os.environ | self.env
        with subprocess.Popen(command, env=env, stderr=stderr) as process:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                process.wait()  # the terminal sends Ctrl-C to the command as well
                raise
            except BaseException:
                process.terminate()
                raise
        if code not in accepted:
            raise RunError(f"The demo stopped: its last command exited with {code}; see above.")
        self.console.print(f"{time.monotonic() - started:.0f} s", style="dim")


def run_demo(data: Path | None, out: Path) -> None:
    """Run the demo; `out` may hold a network, and nothing else.

    `data` is a directory of videos in folders named by genre, or a table of links; None generates
    clips and serves them on loopback.
    """
    console = open_console(stderr=False)
    check_java()
    out = out.absolute()
    data = None if data is None else _check_data(data, out)
    _prepare_out(out)
    demo = _Demo(out, console)
    settings = ("--config", str(demo.config))
    started = time.monotonic()
    _export(demo)
    with ExitStack() as stack:
        links, link_to_score = _prepare_links(demo, data, stack)
        demo.stage("prepare", "--links", str(links), *settings)
        # Some of the user's own links may be deferred; the demo goes on with the others.
        demo.stage("featurize", *settings, accepted=(ExitCode.FINISHED, ExitCode.INCOMPLETE))
        _publish(demo)
        bundle, control = str(demo.out / "bundle"), str(demo.out / "control")
        training = ("--trainer", "sklearn", *settings)
        demo.stage("train", "--bundle", bundle, *training)
        demo.stage("train", "--bundle", control, "--shuffle-labels", *training)
        demo.stage("evaluate", "--bundle", bundle, "--control", control)
        demo.stage("report")
        link = link_to_score or _first_finished(demo.store)
        demo.command("score", link, "--report", str(demo.reports / "score.html"), *settings)
    _print_summary(demo)
    console.print(f"The demo took {time.monotonic() - started:.0f} s.")


def _check_data(data: Path, out: Path) -> Path:
    """Resolve --data."""
    data = data.expanduser().resolve()
    if not data.exists():
        raise ConfigError(f"--data {data} does not exist.")
    if data.is_relative_to(out.resolve()):
        raise ConfigError(
            f"--data {data} lies in --out {out}, where the demo writes. Give another --out."
        )
    return data


def _prepare_out(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in out.iterdir()} - _KEPT
    except OSError as error:
        raise ConfigError(f"--out must be a writable directory: {error}") from error
    if held:
        # Nobody knows what was added to an earlier demo, so nothing is deleted.
        raise ConfigError(
            f"{out / min(held)} exists, and the demo replaces nothing. Give another --out; or if "
            f"{out} is of an earlier demo, delete all in it but {', '.join(_KEPT)}."
        )


def _export(demo: _Demo) -> None:
    directory = demo.out / "backbone"
    if not (directory / "manifest.json").exists():
        # In its own process: Keras keeps gigabytes of memory, which Spark needs later.
        export = ("--out", str(directory), "--weights")
        try:
            with progress_bar("exporting the network"):
                demo.command("backbone export", *export, "imagenet", stderr=subprocess.DEVNULL)
        except RunError:
            demo.console.print("note: no ImageNet weights here: using random ones.")
            demo.command("backbone export", *export, "random")
    if read_manifest(directory).is_random:
        demo.console.print(
            "note: The network's weights are random. Every step works, but the scores say nothing "
            f"about films. For ImageNet weights, delete {directory} and run the demo again with "
            "internet access."
        )


def _prepare_links(demo: _Demo, data: Path | None, stack: ExitStack) -> tuple[Path, str | None]:
    """Return the table of links and, if clips were generated, the link to score."""
    if data is not None:
        _write_config(demo, root=data if data.is_dir() else data.parent)
        return data, None
    clips = demo.out / "clips"
    clips.mkdir()
    try:
        # The port is part of every link: with the same one, each demo gives the same figures.
        address = stack.enter_context(serve_files(clips, _PORT))
    except OSError:  # in use
        address = stack.enter_context(serve_files(clips, 0))
    base_url = f"http://{address}"
    demo.console.print(f"Generating clips and serving them at {base_url} ...")
    _write_config(demo, allow=address)
    return make_clips(clips, base_url), f"{base_url}/horror-sci-fi-00.mp4"


def _write_config(demo: _Demo, *, root: Path | None = None, allow: str | None = None) -> None:
    """Write a configuration for few clips: genres of few movies count, and half are tested."""
    sections: dict[str, dict[str, object]] = {
        "links": {"allowed_roots": [str(root)] if root else []},
        "network": {"allow": [allow] if allow else []},
        "backbone": {"path": str(demo.out / "backbone")},
        "dataset": {"min_movies_per_genre": 4, "folds": 2, "fold": 1},
        "forest": {"trees": 20, "min_rows_per_leaf": 1},
        "score": {"bundle": str(demo.out / "bundle")},
        # A database of its own, so that nobody's collection is touched.
        "mongo": {"database": "trailergenre_demo"},
    }
    lines = []
    for name, settings in sections.items():
        # JSON writes numbers, strings and lists as TOML does.
        lines += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in settings.items()), ""]
    demo.config.write_text("\n".join(lines), encoding="utf-8")


def _publish(demo: _Demo) -> None:
    with _mongo_server(demo.out / "mongo") as uri:
        if uri is None:
            demo.console.print(
                "note: not published, as there is no MongoDB server "
                "(pip install secantusdb, or set TRAILERGENRE_MONGO_URI)."
            )
            return
        demo.env["TRAILERGENRE_MONGO_URI"] = uri
        demo.stage("publish", "--config", str(demo.config))


@contextmanager
def _mongo_server(directory: Path) -> Iterator[str | None]:
    """Yield the address of the user's server, else of SecantusDB on loopback if installed."""
    if uri := os.environ.get("TRAILERGENRE_MONGO_URI"):
        yield uri
        return
    try:
        from secantus import SecantusDBServer
    except ImportError:
        yield None
        return
    directory.mkdir()
    server = SecantusDBServer(port=0, storage_path=str(directory))
    server.start()
    try:
        yield server.uri
    finally:
        server.stop()


def _first_finished(store: Store) -> str:
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None)).to_pylist()
    finished = {row["link_id"] for row in outcomes if row["outcome"] == Outcome.OK}
    links = tables.read_table(store, "links").to_pylist()
    return next(str(row["url"]) for row in links if row["link_id"] in finished)


def _print_summary(demo: _Demo) -> None:
    """Print the outcomes of rows and links, and the paths of the pages."""
    rows = tables.read_table(demo.store, "links")["row_outcome"]
    outcomes = outcomes_table.read_outcomes(demo.store, choose_fingerprint(demo.store, None))[
        "outcome"
    ]
    demo.console.rule(style="dim")
    for title, column in (("Input rows by outcome", rows), ("Links by outcome", outcomes)):
        counts = Counter(column.to_pylist()).most_common()
        shown = ", ".join(f"{n} {outcome}" for outcome, n in counts)
        demo.console.print(f"{title + ':':<26} {shown}")
    for page, title in _PAGES.items():
        demo.console.print(f"{title + ':':<26} {demo.reports / page}")


def _quote(argument: str) -> str:
    """Shorten paths below the working directory, and quote as a person would."""
    shown = argument.removeprefix(f"{Path.cwd()}/")
    return f"'{shown}'" if " " in shown else shown
