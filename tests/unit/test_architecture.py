"""Rules of the house that no linter holds; an exception to one is an entry in a list here."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from trailergenre.base.config import Config
from trailergenre.base.config_files import load_config

UNSAFE_MODULES = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
"""Reading a file of theirs runs what the file says."""

TARGETS = {
    "help",
    "setup",
    "demo",
    "check",
    "test",
    "test-all",
    "test-spark",
    "bench",
    "quality",
    "reproduce",
    "soak",
    "zip",
}

PRINTS = re.compile(
    r"print|rich\.print|(click|typer)\.s?echo|(\w+\.)?(Console|StreamHandler|RichHandler|secho)|"
    r"sys\.(__)?std(out|err)(__)?|traceback\.print_\w+"
)
"""Names of what writes to a terminal."""

PRINTING = {
    # The door itself, and whose codes it knows.
    "lib/trailergenre/base/terminal.py": ["Console", "sys.stderr", "sys.stdout"],
    # Where `stopped.` is printed before anything is imported.
    "lib/trailergenre/__main__.py": ["sys.stderr"],
    # Sends stderr elsewhere for a while.
    "lib/trailergenre/base/native_logs.py": ["sys.__stderr__", "sys.stderr"],
    # Children, whose streams are pipes.
    "lib/trailergenre/links/external/array_child.py": ["sys.stdout"],
    "lib/trailergenre/models/fetch_child.py": ["sys.stdout"],
    "lib/trailergenre/base/sandbox/fork_server.py": ["sys.stderr", "sys.stdout"],
    "lib/trailergenre/base/sandbox/launcher.py": ["sys.stderr"],
    "lib/trailergenre/videos/child.py": ["sys.stderr", "sys.stdout"],
    # Types only.
    "lib/trailergenre/cli/demo/run.py": ["Console"],
}

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted([*REPOSITORY.glob("lib/**/*.py"), *REPOSITORY.glob("jobs/*.py")])
TEST_FILES = sorted(REPOSITORY.glob("tests/**/test_*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def is_check(node: ast.AST) -> bool:
    """Whether a node can fail a test: assert, pytest.raises, pytest.fail, assert_array_equal ..."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    called = node.func.id if isinstance(node.func, ast.Name) else called
    return called in {"raises", "warns", "fail"} or called.startswith("assert")


def unchecked_tests(tree: ast.AST) -> list[str]:
    return [
        function.name
        for function in functions(tree)
        if function.name.startswith("test_") and not any(map(is_check, ast.walk(function)))
    ]


def imported_modules(tree: ast.AST) -> set[str]:
    """Top-level names of everything that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def repeated_defaults(settings: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Keys whose value is the default in the code."""
    defaults = Config().model_dump(mode="json")
    return [
        f"{section}.{key}"
        for section, values in settings.items()
        for key, value in values.items()
        if defaults[section].get(key) == value  # hosts are named by the file
    ]


def spark_properties(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def test_every_test_can_fail() -> None:
    found = {name_of(p): unchecked_tests(ast.parse(p.read_text())) for p in TEST_FILES}
    assert {path: names for path, names in found.items() if names} == {}


def ways_to_print(tree: ast.AST) -> list[str]:
    """What a file names that writes to a terminal, apart from `base.terminal`."""
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    found += [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    found += [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    return sorted({name for name in found if PRINTS.fullmatch(name)})


def test_one_place_prints() -> None:
    """It escapes control characters; what runs in children writes to pipes that we read."""
    found = {name_of(path): ways_to_print(ast.parse(path.read_text())) for path in SOURCES}
    assert {path: ways for path, ways in found.items() if ways} == PRINTING


def test_a_way_to_print_is_found() -> None:
    code = """
from rich.console import Console
import sys, click, logging
print(1); sys.stderr.write("x"); click.secho("x"); logging.StreamHandler(); rich.print("x")
"""
    assert ways_to_print(ast.parse(code)) == [
        *("Console", "click.secho", "logging.StreamHandler", "print", "rich.print", "sys.stderr"),
    ]


def test_nothing_that_runs_what_a_file_says_is_imported() -> None:
    found = {name_of(p): imported_modules(ast.parse(p.read_text())) for p in SOURCES}
    assert {p: names & UNSAFE_MODULES for p, names in found.items() if names & UNSAFE_MODULES} == {}


def test_the_configuration_of_a_cluster_says_nothing_that_the_code_says() -> None:
    path = REPOSITORY / "conf" / "cluster.toml"
    assert isinstance(load_config([path]), Config)
    assert repeated_defaults(tomllib.loads(path.read_text())) == []


@pytest.mark.parametrize("name", ["local", "standalone", "yarn", "kubernetes"])
def test_spark_properties_hide_secrets_and_open_no_door(name: str) -> None:
    properties = spark_properties(REPOSITORY / "conf" / f"spark-{name}.conf")
    for key in ("spark.mongodb.write.connection.uri", "my.password", "fs.s3a.access.key"):
        assert re.search(properties["spark.redaction.regex"], key)
    command = "org.apache.spark.deploy.SparkSubmit jobs/train_model.py s3://{}bucket/run"
    assert re.search(properties["spark.redaction.regex"], command.format("key:pa/ss@"))
    assert not re.search(properties["spark.redaction.regex"], command.format(""))
    assert properties["spark.ui.enabled"] == "false"
    # The one that has the door.
    if name == "standalone":
        assert properties["spark.master.rest.enabled"] == "false"
    # A standalone cluster has no secret of its own making; docs/cluster.md says how to give it one.
    assert ("spark.authenticate" in properties) == (name != "standalone")
    if name != "standalone":
        assert properties["spark.authenticate"] == "true"
    assert properties["spark.speculation"] == "false"
    assert properties["spark.dynamicAllocation.enabled"] == "false"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_holds_hashes_and_no_address(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    requirements = re.findall(r"^[A-Za-z0-9._-]+==(?:[^\n]*\\\n)+[^\n]*", text, re.MULTILINE)
    assert len(requirements) == len(re.findall(r"^\w", text, re.MULTILINE)) > 50
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"://|file:|find-links|index-url|trusted-host", code)
    assert not re.search(r"://|[ =](/|~)", text)


def test_the_locks_cover_every_dependency_and_agree() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # OpenVINO is large, and `make setup` leaves it out.
    run_time = [extra for name, extra in extras.items() if name not in {"dev", "openvino"}]
    pins = []
    for name, wanted in (("requirements", run_time), ("requirements-dev", extras.values())):
        requirements = itertools.chain(project["dependencies"], *wanted)
        names = {re.split(r"[\[<>=!~;, ]", each)[0].lower() for each in requirements}
        text = (REPOSITORY / f"{name}.lock").read_text()
        pins.append(set(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE)))
        assert names - {"trailergenre"} - {package for package, _ in pins[-1]} == set()
    assert pins[0] <= pins[1]


def test_make_help_lists_exactly_the_targets() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)) == TARGETS
    ended = subprocess.run(
        ["make", "--no-print-directory"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    lines = [line.split(maxsplit=2) for line in ended.stdout.splitlines()]
    assert {target for _, target, _ in lines} == TARGETS


def test_security_page_names_only_tests_that_exist() -> None:
    page = (REPOSITORY / "docs" / "security.md").read_text()
    named = re.findall(r"`((?:unit|hostile|faults|spark|jobs)/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 40
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (file := REPOSITORY / "tests" / path).is_file()
        or (name and f"def {name}(" not in file.read_text())
    ]
    assert missing == []
