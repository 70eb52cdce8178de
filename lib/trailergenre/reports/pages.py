"""Render a template and its record to one self-contained HTML page, and write it.

Every page extends `base.html`, whose policy lets a browser load nothing. Values may come from
strangers: all are escaped, and only an http(s) address becomes a link.
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
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined

from trailergenre.base.errors import ConfigError, ForeignFileError, StorageError
from trailergenre.base.storage import Store
from trailergenre.base.versions import check_minimum_versions
from trailergenre.metrics.format import format_figure, format_spread

PAGE_MARK = '<meta name="generator" content="trailergenre">'
RECORD_MARK = '"generator": "trailergenre"'
"""What stands at the beginning of a report in HTML or JSON; no other file is replaced by one."""
_HEAD_BYTES = 1000

NEIGHBOURS = {"run.html": "Run report", "evaluation.html": "Evaluation"}
"""The pages that other pages in their directory link to: file name -> title."""


class ReportFile(NamedTuple):
    """Where a report is written, and the mark of those that it may replace."""

    store: Store
    path: str
    mark: str = PAGE_MARK

    @classmethod
    def named(cls, file: Path) -> ReportFile:
        """A local page where a user wants it, perhaps by a symbolic link, which stays.

        Raises:
            ConfigError: it cannot be written, or is a directory, device or pipe.
        """
        target = Path(os.path.realpath(file))
        try:
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISREG(file.stat().st_mode):
                    raise FileExistsError(errno.EEXIST, "it exists and is not a regular file")
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise ConfigError(
                f"The report cannot be written to {file}: {error.strerror}. "
                "Name a file in an existing, writable directory."
            ) from error
        return cls(Store(str(target.parent)), target.name)

    def __str__(self) -> str:
        """The address."""
        return str(self.store.child(self.path))

    def check(self) -> None:
        """Check that nothing but an earlier report would be replaced.

        Raises:
            ForeignFileError: the file there is none.
        """
        if self.store.exists(self.path) and not self._is_ours():
            raise ForeignFileError(self, "name another file")

    def _is_ours(self) -> bool:
        with self.store.open_input(self.path) as stream:
            return self.mark.encode() in bytes(stream.read(_HEAD_BYTES))

    def neighbours(self) -> dict[str, str]:
        """The other pages in the page's directory that can be read now: file name -> title."""
        directory, slash, own_name = self.path.rpartition("/")
        found = {}
        for name, title in NEIGHBOURS.items():
            page = self._replace(path=f"{directory}{slash}{name}")
            with contextlib.suppress(StorageError):
                if name != own_name and page._is_ours():
                    found[name] = title
        return found

    def write(self, text: str) -> None:
        """Write or replace the report, atomically.

        Raises:
            ForeignFileError: the file there is no report.
            StorageError: it cannot be written.
        """
        self.check()
        self.store.write_bytes(self.path, text.encode())


def render_page(
    template: str,
    record: Mapping[str, object],
    *,
    neighbours: Mapping[str, str] | None = None,
    **variables: object,
) -> str:
    """Render a template of this directory; a missing variable is an error.

    `neighbours` are the pages to link to: see `ReportFile.neighbours`.
    """
    page = _environment().get_template(template)
    return page.render(record, neighbours=neighbours or {}, **variables)


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
        count=lambda number: f"{number:,}",
        rate=format_rate,
        share=format_share,
        seconds=format_seconds,
        size=format_size,
        time=format_time,
    )
    environment.tests["web"] = is_web
    return environment


def _read_template(name: str) -> str:
    """Read a template, which is package data: the package may be inside a zip."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _spread(model: Mapping[str, Any], key: str) -> str:
    """A mean and its standard deviation, on two lines in a table of class `spreads`."""
    shown = format_spread(model[key], model["std"][key])
    return shown.replace(" ± ", "\n±\N{NO-BREAK SPACE}")


def is_web(address: str | None) -> bool:
    """Whether an address may become a link; not, for example, `javascript:`.

    >>> is_web("https://a.test/x"), is_web("javascript:alert(1)"), is_web(None)
    (True, False, False)
    """
    return address is not None and address.startswith(("http://", "https://"))


def format_rate(number: float) -> str:
    """Format a number of things per time.

    >>> format_rate(6.25), format_rate(1433.6)
    ('6.2', '1,434')
    """
    return f"{number:,.{1 if number < 100 else 0}f}"


def format_share(share: float | None) -> str:
    """Format a share in 0..1 as a percentage.

    >>> format_share(0.1234), format_share(1), format_share(None)
    ('12.3 %', '100 %', '–')
    """
    if share is None:
        return "–"
    return f"{100 * share:.{0 if share in {0, 1} else 1}f} %"


def format_seconds(seconds: float | None) -> str:
    """Format a duration.

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
    """Format a number of bytes.

    >>> format_size(950), format_size(2_340_000), format_size(None)
    ('950 bytes', '2.3 MB', '–')
    """
    if size_bytes is None:
        return "–"
    if size_bytes < 1000:
        return f"{size_bytes:.0f} bytes"
    for unit in ("KB", "MB", "GB"):
        size_bytes /= 1000
        if size_bytes < 1000:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} TB"


def format_time(time: str) -> str:
    """Format an ISO 8601 time to the minute.

    >>> format_time("2026-01-05T09:30:12+01:00")
    '2026-01-05 08:30 UTC'
    """
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
