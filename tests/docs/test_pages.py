"""README and docs, read but not run: blocks, options, targets, links, tables."""

from __future__ import annotations

import importlib.util
import re
import tomllib

import pytest

from blocks import (
    LANGUAGES,
    Block,
    find_options,
    list_options,
    list_pages,
    parse_command,
    read_blocks,
    read_inline,
    read_page,
)
from blocks import split_commands as split
from submits import REPOSITORY
from trailergenre.base.config import Config
from trailergenre.base.config_files import load_config
from trailergenre.base.outcomes import Outcome, RowOutcome

PAGES = list_pages()
BLOCKS = [block for page in PAGES for block in read_page(page)]
ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

OF_OTHERS = {
    *("--archives", "--bind_ip", "--conf", "--dbpath", "--exec", "--files", "--glob", "--install"),
    *("--cookies", "--cookies-from-browser", "--load-spark-defaults", "--py-files"),
    *("--recursive", "--shutdown"),
}
"""Options in sentences that belong to other programs: mongod, Spark, Hadoop, mkdocs, git,
wsl, yt-dlp."""

PROGRAMS_OF_OTHERS = {"aws", "docker", "gcloud", "kubectl"}
"""They name clusters and images after the package."""

PLACEHOLDER = "section.key=value"
CONFIG = Config.model_fields
SECTIONS = [name for name in CONFIG if name != "hosts"]
SETTING = re.compile(rf"(?P<section>{'|'.join(SECTIONS)})\.(?P<key>\w+)(?: ?= ?\S+)?")


def shell_blocks() -> list[Block]:
    return [block for block in BLOCKS if block.language == "sh"]


def test_pages_and_commands_are_found() -> None:
    assert {"README.md", "docs/first-run.md", "docs/mongodb.md"} <= set(PAGES)
    assert len(shell_blocks()) > 20


def test_programs_are_marked_as_not_run() -> None:
    programs = [block for block in BLOCKS if block.language in {"python", "js"}]
    assert [str(block) for block in programs if not block.not_run] == []


def test_tests_named_by_marks_exist() -> None:
    reasons = " ".join(block.not_run for block in BLOCKS)
    named = re.findall(r"tests/[\w/]+(?:\.py)?", reasons)
    assert len(named) > 5
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_block_names_its_language_and_all_code_is_fenced() -> None:
    assert [str(block) for block in BLOCKS if block.language not in LANGUAGES] == []
    indented = [page for page in PAGES if has_indented_code((REPOSITORY / page).read_text())]
    assert indented == []


def has_indented_code(text: str) -> bool:
    """Whether four spaces after an empty line make a block, outside of fences."""
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.search(r"\n\n    \S", outside) is not None


def test_indented_code_is_found() -> None:
    assert has_indented_code("a\n\n    make zip\n")
    assert not has_indented_code("a\n\n```sh\n\n    make zip\n```\n")


def test_marks_and_fences_are_read() -> None:
    text = "```sh\nA=1 x\n```\n<!-- not run: why -->\n```sh\ny \\\n  z\n```\n"
    first, second = read_blocks("p", text)
    assert (first.text, first.not_run, first.line) == ("A=1 x\n", "", 1)
    assert (second.text, second.not_run, second.line) == ("y \\\n  z\n", "why", 5)
    for broken in ("```sh\nx\n", "<!-- not run: why -->\n\n```sh\nx\n```\n"):
        with pytest.raises(ValueError, match="p:"):
            read_blocks("p", broken)


def test_shell_blocks_are_split_into_commands() -> None:
    text = (
        "A='b c' submit jobs/x.py \\\n  --set 'a.b=\"c\"' # why\n"
        "cat > f <<'EOF'\nnot a && command\nEOF\nmake setup && make zip\n"
    )
    assert list(split(text)) == [
        ["submit", "jobs/x.py", "--set", 'a.b="c"'],
        ["cat"],
        ["f"],
        ["make", "setup"],
        ["make", "zip"],
    ]


@pytest.mark.parametrize("block", shell_blocks(), ids=str)
def test_options_of_every_command_exist(block: Block) -> None:
    commands = list(split(block.text))
    ours = [
        words
        for words in commands
        if words[0] not in PROGRAMS_OF_OTHERS
        and ("trailergenre" in words or "jobs/" in " ".join(words))
    ]
    assert [parse_command(words) for words in ours].count("") == 0
    assert commands


def test_an_unknown_option_is_found() -> None:
    assert parse_command(["submit", "jobs/featurize.py", "runs/x"]) == "jobs/featurize.py"
    assert (
        parse_command(["trailergenre", "bundle", "inspect", "b"]) == "trailergenre bundle inspect"
    )
    for words in (["trailergenre", "status", "r", "--jsn"], ["python", "jobs/featurize.py"]):
        with pytest.raises(Exception, match=r"No such option|Missing parameter"):
            parse_command(words)


def test_options_in_sentences_exist() -> None:
    named = {
        option for page in PAGES for text in read_inline(page) for option in find_options(text)
    }
    assert {"--keep", "--retry", "--external"} <= named
    assert named - list_options() - OF_OTHERS == set()


def test_settings_in_sentences_exist() -> None:
    spans = [text for page in PAGES for text in read_inline(page)]
    settings = [match for text in spans if (match := SETTING.fullmatch(text))]
    named = {
        (match["section"], match["key"])
        for match in settings
        if match["key"] not in {"csv", "html", "py"}
    }
    assert ("limits", "deadline_s") in named
    known = {(s, k) for s in SECTIONS for k in getattr(CONFIG[s].annotation, "model_fields", ())}
    assert named - known == set()


def test_values_that_pages_set_are_valid() -> None:
    texts = [text for page in PAGES for text in read_inline(page)]
    texts += [" ".join(words) for block in shell_blocks() for words in split(block.text)]
    found = (word for text in texts for word in re.findall(r"--set (\S+)", text))
    overrides = {word.strip("'") for word in found}
    overrides |= {text for text in texts if SETTING.fullmatch(text) and "=" in text}
    assert "backbone.device=gpu" in overrides
    for override in overrides - {PLACEHOLDER}:
        load_config(overrides=["=".join(part.strip() for part in override.split("="))])
    files = [tomllib.loads(block.text) for block in BLOCKS if block.language == "toml"]
    assert [Config.model_validate(file).frames.per_second for file in files] == [2.0, 1.0]


def test_targets_of_make_exist() -> None:
    known = re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    commands = [words for block in shell_blocks() for words in split(block.text)]
    named = {word for words in commands if words[0] == "make" for word in words[1:]}
    targets = {word for word in named if "=" not in word}
    assert "setup" in targets
    assert targets - set(known) == set()


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_links_of_root_pages_lead_to_files(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    linked = re.findall(r"\]\((?!https?:)([^)#]+)#?([^)]*)", text)
    assert [link for link, _ in linked if not (REPOSITORY / link).exists()] == []
    lost = [(link, anchor) for link, anchor in linked if anchor and anchor not in anchors_of(link)]
    assert lost == []


def anchors_of(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text().lower(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}


def test_every_image_is_used() -> None:
    pictures = {path.name for path in (REPOSITORY / "docs" / "img").iterdir()}
    texts = [(REPOSITORY / page).read_text() for page in PAGES]
    assert pictures == {
        name for text in texts for name in re.findall(r"\]\((?:docs/)?img/([^)]+)\)", text)
    }


@pytest.mark.parametrize("outcomes", [RowOutcome, Outcome])
def test_every_outcome_is_in_the_table_with_its_meaning(
    outcomes: type[RowOutcome | Outcome],
) -> None:
    page = (REPOSITORY / "docs" / "outcomes.md").read_text()
    section = page.split("\n## Rows\n" if outcomes is RowOutcome else "\n## Links\n")[1]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ?(.*?) ?\|$", section.split("\n## ")[0], re.M)
    assert [(name, meaning) for name, meaning, _ in rows] == [(o, o.meaning) for o in outcomes]
    assert [name for name, _, todo in rows if not todo] == [next(iter(outcomes))]


@pytest.mark.parametrize("name", ["configuration", "commands"])
def test_a_written_page_is_up_to_date(name: str) -> None:
    path = REPOSITORY / "conf" / f"{name}_page.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (REPOSITORY / "docs" / f"{name}.md").read_text()
    assert page == module.render_page(), f"run: python conf/{name}_page.py"


def test_written_pages_hold_what_code_says() -> None:
    docs = REPOSITORY / "docs"
    setting = "| `per_second` | number, > 0, <= 60 | `1.0` | Frames per second of video."
    assert setting in (docs / "configuration.md").read_text()
    commands = (docs / "commands.md").read_text()
    assert "\n## trailergenre bundle inspect\n" in commands
    assert "  --unlabelled  " in commands


def test_the_index_lists_every_decision_with_its_status() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    pages = {path.name: path.read_text().splitlines() for path in sorted(folder.glob("0*.md"))}
    index = (folder / "index.md").read_text()
    rows = re.findall(r"^\| \[(\d+)\]\((.*?)\) \| (.*?) \| (.*) \|$", index, re.MULTILINE)
    assert [(f"# {number}: {title}", f"Status: {status}") for number, _, title, status in rows] == [
        (lines[0], lines[2]) for lines in pages.values()
    ]
    assert [name for _, name, _, _ in rows] == [*pages]
