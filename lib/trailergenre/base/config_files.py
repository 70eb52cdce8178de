"""Reads the configuration from TOML files and command-line overrides."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from trailergenre.base.config import SECRET, Config, HostConfig
from trailergenre.base.errors import ConfigError

VARIABLE = "TRAILERGENRE_CONFIG"
NAME = "trailergenre.toml"


def load_config(paths: Sequence[Path] = (), overrides: Sequence[str] = ()) -> Config:
    """Read a configuration; a later file overrides an earlier one key by key.

    The first file is the one that `find_settings` finds. Overrides are `section.key=value`, key and
    value in TOML (`hosts."youtube.com".lanes=2`); a bare word is a string. A ConfigError about an
    unknown key names the closest valid one.
    """
    tree: dict[str, object] = {}
    found = find_settings()
    for path in [found, *paths] if found else paths:
        tree = _merge(tree, _read_toml(path))
    for override in overrides:
        tree = _merge(tree, _parse_override(override))
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def find_settings() -> Path | None:
    """The settings file that is used without being named.

    `TRAILERGENRE_CONFIG` names it; if that is empty, there is none. Else it is `trailergenre.toml`
    in the working directory, or else the user's own.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named).expanduser() if named else None
    config_home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    places = (NAME, Path(config_home, "trailergenre", NAME).expanduser())
    return next((Path(place) for place in places if Path(place).is_file()), None)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} is not TOML: {error}.") from error
    for section, values in tree.items():
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: {section!r} is not a section. Write [section] key = value.")
    return tree


def _merge(tree: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Merge tables recursively; `new` wins."""
    merged = dict(tree)
    for key, value in new.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)
        merged[key] = value
    return merged


def _parse_override(override: str) -> dict[str, object]:
    name, separator, value = override.partition("=")
    for text in (override, f"{name} = {json.dumps(value, ensure_ascii=False)}"):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            tree = tomllib.loads(text)
            if separator and all(isinstance(values, dict) for values in tree.values()):
                return tree
    raise ConfigError(
        "--set takes section.key=value; quote a key that contains dots: "
        f"--set 'hosts.\"youtube.com\".lanes=2'. Received: {override!r}."
    )


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        parts = [str(part) for part in problem["loc"] if part != "[key]"]
        where = _dotted(parts)
        if problem["type"] == "extra_forbidden":
            # Without quotes, youtube.com is a table in a table.
            is_table = isinstance(problem["input"], dict)
            host = ".".join(parts[1:] if is_table else parts[1:-1])
            close = difflib.get_close_matches(where, _valid_keys(host), n=1, cutoff=0)
            lines.append(f"unknown key {where}; the closest valid one is {close[0]}")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            received = "" if problem["type"] == SECRET else f". Received: {problem['input']!r}"
            lines.append(f"{where}: {reason}{received}")
    return "The configuration cannot be used: " + "; ".join(lines) + "."


def _dotted(parts: Sequence[str]) -> str:
    """Write a key as TOML does."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else f'"{part}"' for part in parts)


def _valid_keys(host: str) -> list[str]:
    keys = [_dotted(["hosts", host, key]) for key in HostConfig.model_fields]
    for section, field in Config.model_fields.items():
        keys.append(section)
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            keys += [f"{section}.{key}" for key in model.model_fields]
    return keys
