"""The fenced blocks of README and docs, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from submits import REPOSITORY, load_job
from trailergenre.cli.commands import app as command_line

LANGUAGES = {"sh", "text", "toml", "python", "js"}
"""`sh` holds commands, `text` output or a drawing, `toml` a configuration."""

_FENCE = re.compile(r"^ *```(\w*)$")
_INLINE = re.compile(r"`([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")
_JOB = re.compile(r"(?:local:///opt/trailergenre/)?jobs/\w+\.py")
_ASSIGNMENT = re.compile(r"\w+=.*")
_OPERATORS = {"&&", "||", "|", ";", "&", ">", ">>", "<", "<<"}


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: path below the repository.
        line: of the opening fence, from 1.
        language: of the fence.
        text: the lines between the fences.
        not_run: why no test runs it; empty if one does.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str

    def __str__(self) -> str:
        """Return page:line, which editors open."""
        return f"{self.page}:{self.line}"


def list_pages() -> list[str]:
    """List the README and the pages of docs/, without the decisions."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return [str(page.relative_to(REPOSITORY)) for page in pages]


def read_blocks(page: str, text: str) -> list[Block]:
    """Read the blocks of a text; raises ValueError for an open fence or a misplaced mark."""
    blocks: list[Block] = []
    lines = iter(enumerate(text.splitlines(keepends=True), start=1))
    not_run = ""
    for number, line in lines:
        fence, mark = _FENCE.match(line.rstrip("\n")), _NOT_RUN.match(line.rstrip("\n"))
        if fence:
            body = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner)
            else:
                raise ValueError(f"{page}:{number}: the fence is not closed")
            blocks.append(Block(page, number, fence[1], "".join(body), not_run))
        elif not_run:
            raise ValueError(f"{page}:{number}: `not run` must precede a block")
        not_run = mark[1] if mark else ""
    return blocks


def read_page(page: str) -> list[Block]:
    """Read the blocks of a page."""
    return read_blocks(page, (REPOSITORY / page).read_text(encoding="utf-8"))


def read_inline(page: str) -> list[str]:
    """Return the inline code of a page."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return _INLINE.findall(re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE))


def find_options(text: str) -> list[str]:
    """Return the long options in a command.

    >>> find_options("featurize --retry OUTCOME --a-b=c")
    ['--retry', '--a-b']
    """
    return _OPTION.findall(text)


def split_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell block, without here-documents.

    >>> list(split_commands("A=1 make zip && cat x > y  # why\\n"))
    [['make', 'zip'], ['cat', 'x'], ['y']]
    """
    text = re.sub(r"<<'EOF'\n.*?^EOF$", "", text, flags=re.DOTALL | re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        for word in [*lexer, ";"]:
            if word in _OPERATORS:
                if words:
                    yield words
                words = []
            elif words or not _ASSIGNMENT.fullmatch(word):
                words.append(word)


def parse_command(words: list[str]) -> str:
    """Parse a command's options with its own parser, without running it.

    Returns:
        `trailergenre score`, `jobs/featurize.py`, ..., or "" for other programs.

    Raises:
        click.ClickException: an unknown option or choice, or a missing argument.
    """
    if words[0] == "trailergenre":
        app, name, rest = command_line, words[0], words[1:]
    else:
        place = next((k for k, word in enumerate(words) if _JOB.fullmatch(word)), None)
        if place is None:
            return ""
        name, rest = words[place], words[place + 1 :]
        app = load_job(Path(name).stem).app
    command = typer.main.get_command(app)
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        command = command.commands[rest[0]]
        name, rest = f"{name} {rest[0]}", rest[1:]
    command.make_context(name, rest)
    return name


def list_options() -> set[str]:
    """Return every option of every job and command."""
    jobs = [load_job(path.stem).app for path in sorted((REPOSITORY / "jobs").glob("*.py"))]
    found = {"--help"}
    waiting = [typer.main.get_command(app) for app in (command_line, *jobs)]
    for command in waiting:
        found |= {option for parameter in command.params for option in parameter.opts}
        waiting += getattr(command, "commands", {}).values()
    return found
