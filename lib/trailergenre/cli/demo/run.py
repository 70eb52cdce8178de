"""The whole way once, by the commands that a user types: links in, genres out.

Makes clips (or takes the user's videos), serves them on loopback, and runs every job by
spark-submit. Each command is printed as it runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from trailergenre.base.errors import ConfigError, ExitCode, RunError
from trailergenre.base.java import check_java
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.cli.demo.clips import make_clips
from trailergenre.cli.demo.ending import print_end
from trailergenre.cli.demo.server import FileServer, serve
from trailergenre.features.backbone import read_manifest
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint

_PORT = 8299
_MARKER = ".trailergenre-demo"
_MADE_ANEW = ("clips", "run", "bundle", "control", "mongo")
"""What a demo replaces; not the network, which is the same every time and half a minute's work."""
_REPOSITORY = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class _Demo:
    """Where everything of one demo lies."""

    out: Path
    console: Console

    @property
    def config(self) -> Path:
        return self.out / "config.toml"

    @property
    def store(self) -> Store:
        return Store(str(self.out / "run"))

    @property
    def reports(self) -> Path:
        return self.out / "run" / "reports"

    def command(self, name: str, *arguments: str) -> None:
        """Run one command of the command line."""
        self.run(name, [sys.executable, "-m", "trailergenre", *name.split(), *arguments])

    def job(
        self,
        name: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        accepted: Collection[ExitCode] = (ExitCode.FINISHED,),
    ) -> None:
        """Run one job by spark-submit and show how long it took."""
        submit = Path(sys.executable).with_name("spark-submit")
        properties = _REPOSITORY / "conf" / "spark-local.conf"
        script = _REPOSITORY / "jobs" / f"{name}.py"
        command = [str(submit), "--properties-file", str(properties), str(script)]
        command += [str(self.out / "run"), *arguments]
        self.run(name, command, env=env, accepted=accepted)

    def run(
        self,
        name: str,
        command: list[str],
        *,
        env: Mapping[str, str] | None = None,
        accepted: Collection[ExitCode] = (ExitCode.FINISHED,),
    ) -> None:
        """Run one command, its output below it; `accepted` are the codes that it may end with."""
        self.console.rule(style="dim")
        self.console.print(f"$ {' '.join(map(_shown, command))}", style="bold", soft_wrap=True)
        started = time.monotonic()
        # find-spark-home starts this interpreter to look for pyspark.
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, **(env or {})}
        # Spark warns about host names that it cannot resolve; nothing here leaves the machine.
        environment.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        with subprocess.Popen(command, env=environment) as process:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                process.wait()  # a terminal sends Ctrl-C to it too, and it ends in order
                raise
            except BaseException:
                process.terminate()
                raise
        if code not in accepted:
            raise RunError(f"The demo stopped: {name} ended with {code}; its message is above.")
        self.console.print(f"[dim]{time.monotonic() - started:.0f} s[/dim]")


def run_demo(data: Path | None, out: Path) -> None:
    """Run the demo.

    Args:
        data: a directory of videos in folders named by genre, or a table of links; None makes
            clips.
        out: directory of everything the demo writes; what an earlier demo made there is replaced,
            and nothing else.

    Raises:
        ConfigError: `data` is not there or lies in `out`; `out` cannot be written or holds
            something else; or the jobs are not beside the package.
        ToolMissingError: no Java that Spark can start.
    """
    console = Console(soft_wrap=True)
    if not (_REPOSITORY / "jobs").is_dir():
        raise ConfigError(
            "The demo runs the scripts in jobs/, which are not part of the installed package. "
            "Run it from a checkout of the repository."
        )
    check_java()
    out = out.absolute()
    data = None if data is None else _check_data(data, out)
    _prepare_out(out)
    demo = _Demo(out, console)
    started = time.monotonic()
    _export(demo)
    with ExitStack() as stack:
        links, link_to_score = _links(demo, data, stack)
        settings = ("--config", str(demo.config))
        demo.job("prepare_dataset", "--links", str(links), *settings)
        # Links of somebody's own may be deferred; the others are enough to go on with.
        demo.job("featurize", *settings, accepted=(ExitCode.FINISHED, ExitCode.INCOMPLETE))
        _publish(demo)
        demo.job("train_model", "--bundle", str(demo.out / "bundle"), *settings)
        control = str(demo.out / "control")
        demo.job("train_model", "--bundle", control, "--shuffle-labels", *settings)
        demo.job("evaluate_model", "--bundle", str(demo.out / "bundle"), "--control", control)
        demo.command("report", str(demo.out / "run"))
        link = link_to_score or _first_finished(demo.store)
        demo.command("score", link, "--report", str(demo.reports / "score.html"), *settings)
    print_end(demo.store, demo.reports, console)
    console.print(f"The demo took {time.monotonic() - started:.0f} s.")


def _check_data(data: Path, out: Path) -> Path:
    """Before anything is deleted."""
    data = data.expanduser().resolve()
    if not data.exists():
        raise ConfigError(f"--data {data} does not exist.")
    if data.is_relative_to(out.resolve()):
        raise ConfigError(
            f"--data {data} lies in --out {out}, where a demo replaces what an earlier one made. "
            "Give another --out."
        )
    return data


def _prepare_out(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / _MARKER).exists():
            raise ConfigError(f"{out} holds something that is not a demo's. Give another --out.")
        (out / _MARKER).touch()
        for stale in _MADE_ANEW:
            if (out / stale).exists():
                shutil.rmtree(out / stale)
    except OSError as error:
        raise ConfigError(f"--out must be a directory that can be written: {error}") from error


def _export(demo: _Demo) -> None:
    directory = demo.out / "backbone"
    if not (directory / "manifest.json").exists():
        # In a process of its own: Keras keeps gigabytes that Spark is going to need.
        export = ("--out", str(directory), "--weights")
        try:
            demo.command("backbone export", *export, "imagenet")
        except RunError:
            demo.command("backbone export", *export, "random")
    manifest = read_manifest(directory)
    if manifest.is_random:
        demo.console.print(
            "[bold yellow]RANDOM WEIGHTS: the ImageNet weights are not at hand. What follows shows "
            "that every step works; it says nothing about films.[/bold yellow]"
        )


def _links(demo: _Demo, data: Path | None, stack: ExitStack) -> tuple[Path, str | None]:
    """Give the table of links and, for made clips, the one to score."""
    if data is not None:
        _write_config(demo, root=data if data.is_dir() else data.parent)
        return data, None
    clips = demo.out / "clips"
    clips.mkdir()
    server = _serve(clips, stack)
    base_url = f"http://{server.address}"
    demo.console.print(f"Making clips and serving them at {base_url} ...")
    _write_config(demo, allow=server.address)
    return make_clips(clips, base_url), f"{base_url}/horror-sci-fi-00.mp4"


def _serve(clips: Path, stack: ExitStack) -> FileServer:
    """The port is part of every link, so one port makes one demo's figures the next one's."""
    try:
        return stack.enter_context(serve(clips, _PORT))
    except OSError:  # taken
        return stack.enter_context(serve(clips))


def _write_config(demo: _Demo, *, root: Path | None = None, allow: str | None = None) -> None:
    """The configuration of a few clips: small genres count, and half are tested on."""
    quoted = {
        "roots": json.dumps([str(root)] if root else []),
        "allow": json.dumps([allow] if allow else []),
        "backbone": json.dumps(str(demo.out / "backbone")),
        "bundle": json.dumps(str(demo.out / "bundle")),
    }
    demo.config.write_text(
        f"[links]\nallowed_roots = {quoted['roots']}\n\n"
        f"[network]\nallow = {quoted['allow']}\n\n"
        f"[backbone]\npath = {quoted['backbone']}\n\n"
        "[dataset]\nmin_movies_per_genre = 4\nfolds = 2\nfold = 1\n\n"
        "[forest]\ntrees = 20\nmin_rows_per_leaf = 1\n\n"
        f"[score]\nbundle = {quoted['bundle']}\n\n"
        # Never into a collection that somebody works with.
        '[mongo]\ndatabase = "trailergenre_demo"\n',
        encoding="utf-8",
    )


def _publish(demo: _Demo) -> None:
    with _mongo_server(demo.out / "mongo") as uri:
        if uri is None:
            demo.console.print(
                "[yellow]Not published: no MongoDB server is at hand "
                "(pip install secantusdb, or set TRAILERGENRE_MONGO_URI).[/yellow]"
            )
            return
        settings = ("--config", str(demo.config))
        demo.job("publish_features", *settings, env={"TRAILERGENRE_MONGO_URI": uri})


@contextmanager
def _mongo_server(directory: Path) -> Iterator[str | None]:
    """The user's server, else SecantusDB on loopback where it is installed, else None."""
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
    outcomes = tables.read_outcomes(store, choose_fingerprint(store, None)).to_pylist()
    finished = {row["link_id"] for row in outcomes if row["outcome"] == Outcome.OK}
    urls = (
        row["url"]
        for row in tables.read_table(store, "links").to_pylist()
        if row["link_id"] in finished
    )
    return str(next(urls))


def _shown(argument: str) -> str:
    """Paths below the working directory are shown as a person would type them."""
    shown = argument.removeprefix(f"{Path.cwd()}/")
    return f"'{shown}'" if " " in shown else shown
