"""Write docs/configuration.md from the docstrings in `trailergenre.base.config`.

    python conf/configuration_page.py

A test fails if the page is out of date.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from trailergenre.base import config
from trailergenre.base.config import Config, HostConfig, Section

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

<!-- Written by `python conf/configuration_page.py`; do not edit. -->

This page lists every setting with its type, default and meaning, and says when to change it. The
defaults suit a list of trailers on one machine.

Settings are written in TOML. `trailergenre.toml` in the working directory is used without being
named, or else `~/.config/trailergenre/trailergenre.toml`; the variable `TRAILERGENRE_CONFIG` names
another file, or, if it is empty, none. `--config FILE` adds to it and may be repeated; later files
override earlier ones, and `--set section.key=value` overrides all files. An unknown key is an error
that suggests the closest known one. Defaults are in the code, so a file contains only what differs.
`conf/cluster.toml` is such a file. Spark's own settings are in `conf/spark-*.conf`.

```toml
[frames]
per_second = 2

[hosts."youtube.com"]
lanes = 1
```

The same on the command line: `--set frames.per_second=2` and
`--set 'hosts."youtube.com".lanes=1'`.
"""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_BOUNDS = {Ge: ">=", Gt: ">", Le: "<=", Lt: "<"}


def render_page() -> str:
    """Render the page, with a final newline."""
    texts = read_texts(Path(config.__file__).read_text(encoding="utf-8"))
    sections = [
        _hosts(texts) if name == "hosts" else _section(name, field.annotation, texts)
        for name, field in Config.model_fields.items()
    ]
    return "\n".join([HEAD, *sections])


def read_texts(source: str) -> dict[tuple[str, str], str]:
    """Return the docstring of each field, and of each class (field name ""), on one line."""
    texts = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            texts[node.name, ""] = " ".join((ast.get_docstring(node) or "").split())
            texts |= {(node.name, field): text for field, text in _fields(node)}
    return texts


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield field.target.id, " ".join(text.split())


def _hosts(texts: dict[tuple[str, str], str]) -> str:
    """Render `hosts`, the section whose keys are host names."""
    return _section("hosts", HostConfig, texts, more=f" {texts['Config', 'hosts']}")


def _section(
    name: str, model: type | None, texts: dict[tuple[str, str], str], more: str = ""
) -> str:
    assert model is not None and issubclass(model, Section)
    lines = [f"## {name}", "", texts[model.__name__, ""] + more, ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        text = texts[model.__name__, key].replace("|", "\\|")
        lines.append(f"| `{key}` | {_takes(field)} | {_default(field.default)} | {text} |")
    return "\n".join(lines) + "\n"


def _takes(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(bound, kind.__name__.lower()):,}"
        for bound in field.metadata
        for kind, sign in _BOUNDS.items()
        if isinstance(bound, kind)
    ]
    return ", ".join([_kind(field.annotation), *bounds])


def _kind(annotation: object) -> str:
    arguments = [kind for kind in get_args(annotation) if kind not in (type(None), Ellipsis)]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if get_origin(annotation) is tuple:
        return f"list of {_kind(arguments[0])}"
    if isinstance(annotation, type):
        return _WORDS[annotation]
    return _kind(arguments[0])  # X | None


def _default(value: object) -> str:
    return "not set" if value is None else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
