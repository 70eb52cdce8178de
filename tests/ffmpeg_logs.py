"""Logs as ffmpeg writes them where AV_LOG_FORCE_COLOR is set."""

from __future__ import annotations

import re

_EVENT = re.compile(
    r"^((?:\[[^\]]* @ 0x[0-9a-f]+\] )*)(\[(?:fatal|error|warning|verbose)\] )(.*\n?)", re.MULTILINE
)


def coloured(log: str) -> str:
    """Colour the parts of every event that is not of level info."""

    def paint(event: re.Match[str]) -> str:
        components = re.findall(r"\[[^\]]*\] ", event[1])
        return "".join(f"\x1b[0;35m{part}\x1b[0m" for part in (*components, event[2], event[3]))

    return _EVENT.sub(paint, log)
