"""A template and its figures to one self-contained page: no script, no request to anywhere.

All pages extend `base.html`: one look, light and dark, and a policy that lets a browser load
nothing. The templates lie beside this file as package data, which may be inside of a zip. What
stands in a page may be written by strangers: every value is escaped, and an address becomes a link
only where it is http(s).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from trailergenre.base.errors import ConfigError
from trailergenre.base.storage import Store
from trailergenre.base.versions import check_minimum_versions
from trailergenre.metrics.format import format_figure, format_spread

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def check_page(page: Path) -> None:
    """Refuse a page that could not be written, before any work is done for it.

    What is there and is no file is refused as well: writing renames, so that a device or a pipe
    would become a file.

    Raises:
        ConfigError: what stands in the way.
    """
    try:
        _refuse_no_file(page)
        with tempfile.TemporaryFile(dir=_follow(page).parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"The report cannot be written to {page}: {error.strerror}. "
            "Name a file in a directory that exists and may be written to."
        ) from error


def _refuse_no_file(page: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        mode = page.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise FileExistsError(errno.EEXIST, "it is there already and no regular file")


def _follow(page: Path) -> Path:
    """Where a symbolic link leads: the link stays one."""
    # Absolute, too: a store would take a directory `~` for the user's home.
    return Path(os.path.realpath(page))


def write_page(page: Path, html: str) -> None:
    """Write a page that `check_page` let pass, at once; one that is there is replaced.

    Raises:
        StorageError: it cannot be written.
    """
    target = _follow(page)
    Store(str(target.parent)).write_bytes(target.name, html.encode())


def render_page(template: str, record: Mapping[str, object], **more: object) -> str:
    """Render a page as HTML.

    Args:
        template: name of a file beside this one, which extends `base.html`.
        record: what the page shows; each key is a variable of the template, and all that it uses
            must be there.
        more: further variables.
    """
    return _environment().get_template(template).render(record, **more)


@functools.cache
def _environment() -> Environment:
    check_minimum_versions("jinja2")
    environment = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=format_figure,
        spread=_spread,
        count=format_count,
        rate=format_rate,
        share=format_share,
        seconds=format_seconds,
        size=format_size,
        moment=format_moment,
    )
    environment.tests["web"] = is_web
    return environment


def _spread(model: Mapping[str, Any], key: str) -> str:
    """A mean and its deviation; a cell of a table `.spreads` shows them below each other."""
    shown = format_spread(model[key], model["std"][key])
    return shown.replace(" ± ", "\n±\N{NO-BREAK SPACE}")


def _read_template(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def is_web(address: str | None) -> bool:
    """Whether an address may be a link to click on; `javascript:` and files may not.

    >>> is_web("https://a.test/x"), is_web("javascript:alert(1)"), is_web(None)
    (True, False, False)
    """
    return address is not None and address.startswith(("http://", "https://"))


def format_count(number: int) -> str:
    """Show a number of things, in groups of three digits.

    >>> format_count(123456)
    '123,456'
    """
    return f"{number:,}"


def format_rate(number: float) -> str:
    """Show how many things in some time.

    >>> format_rate(6.25), format_rate(1433.6)
    ('6.2', '1,434')
    """
    return f"{number:,.{1 if number < 100 else 0}f}"


def format_share(share: float | None) -> str:
    """Show a share of 0..1 in percent.

    >>> format_share(0.1234), format_share(1), format_share(None)
    ('12.3 %', '100 %', '–')
    """
    if share is None:
        return "–"
    return f"{100 * share:.{0 if share in {0, 1} else 1}f} %"


def format_seconds(seconds: float | None) -> str:
    """Show how long something took.

    >>> format_seconds(0.034), format_seconds(12.34), format_seconds(75), format_seconds(7325)
    ('0.03 s', '12.3 s', '1 min 15 s', '2 h 02 min')
    """
    if not seconds:
        return "–" if seconds is None else "0 s"
    if seconds < 60:
        return f"{seconds:.{2 if seconds < 1 else 1}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest} s"


def format_size(size_bytes: float | None) -> str:
    """Show a number of bytes.

    >>> format_size(950), format_size(2_340_000), format_size(None)
    ('950 bytes', '2.3 MB', '–')
    """
    if size_bytes is None:
        return "–"
    unit = 0
    while size_bytes >= 1000 and unit < len(_UNITS) - 1:
        size_bytes /= 1000
        unit += 1
    return f"{size_bytes:.{1 if unit else 0}f} {_UNITS[unit]}"


def format_moment(moment: str) -> str:
    """Show a time of ISO 8601 to the minute.

    >>> format_moment("2026-01-05T09:30:12+01:00")
    '2026-01-05 08:30 UTC'
    """
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
