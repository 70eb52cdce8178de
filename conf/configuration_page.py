"""The configuration's models to docs/configuration.md: every setting with default and meaning.

    python conf/configuration_page.py

What a setting means is the text below it in `lib/trailergenre/config.py`. A test fails where the
page is not what this writes.
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

Settings are TOML. `--config FILE` may be given several times, later files win;
`--set section.key=value` wins over all. An unknown key is an error that names the closest known
one. Defaults stand in the code alone: a file holds only what is to be different.
`conf/local.toml` and `conf/cluster.toml` are such files; Spark's own settings are in
`conf/spark-*.conf`.

```toml
[frames]
per_second = 2

[hosts."youtube.com"]
lanes = 1
```

The same on the command line, one setting each: `--set frames.per_second=2` and
`--set 'hosts."youtube.com".lanes=1'`.
"""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_BOUNDS = {Ge: ">=", Gt: ">", Le: "<=", Lt: "<"}


def render_page() -> str:
    """The whole page; ends with a line feed."""
    texts = read_texts(Path(config.__file__).read_text(encoding="utf-8"))
    sections = [
        _hosts(texts) if name == "hosts" else _section(name, field.annotation, texts)
        for name, field in Config.model_fields.items()
    ]
    return "\n".join([HEAD, *sections])


def read_texts(source: str) -> dict[tuple[str, str], str]:
    """What stands below each field, and below each class (under the name ""), as one line."""
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
    """The one section that has sections of its own, all of one kind."""
    return _section("hosts", HostConfig, texts, more=f" {texts['Config', 'hosts']}")


def _section(
    name: str, model: type | None, texts: dict[tuple[str, str], str], more: str = ""
) -> str:
    assert model is not None and issubclass(model, Section)
    lines = [f"## {name}", "", texts[model.__name__, ""] + more, ""]
    lines += ["| key | takes | default | meaning |", "|---|---|---|---|"]
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
    return _kind(arguments[0])  # what may be left out


def _default(value: object) -> str:
    return "not set" if value is None else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
