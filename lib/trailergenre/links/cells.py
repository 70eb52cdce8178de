"""Cells of tables as text, and the markers that stand for a missing value."""

from __future__ import annotations

import math
import re

_WRITTEN = {
    *("", "\\n", "n/a", "na", "nan", "nat", "nil", "none", "null", "?"),
    *("div/0!", "name?", "null!", "num!", "ref!", "value!"),  # of spreadsheets, behind a #
}
_SAID = re.compile(
    "(?:no|none|not|unknown|without)(?: genres?)?"
    "(?: (?:applicable|available|assigned|found|given|known|listed|set|specified))?"
    "|genre unknown|empty|missing|n\\.a|tba|tbd|unavailable|uncategori[sz]ed|undefined|unlisted"
    "|unspecified"
)
_AROUND = " \t\r\n\"'`()[]{}<>*-–—_.#"


def clean_text(cell: object) -> str:
    """A cell as text, stripped of white space (including no-break spaces); empty for NaN.

    >>> clean_text(" Up "), clean_text(499549.0), clean_text(float("nan")), clean_text(None)
    ('Up', '499549', '', '')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace").strip()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def is_null(text: str) -> bool:
    r"""Whether text is how programs write a missing value, as in `nan`, `<NA>`, `\N` or `-`.

    >>> is_null("#N/A"), is_null("None"), is_null("Unknown")
    (True, True, False)
    """
    return _bare(text) in _WRITTEN


def is_missing(text: str) -> bool:
    """Whether text marks a missing value, in words too; not for titles: Unknown is a movie.

    >>> is_missing("(no genres listed)"), is_missing("unknown"), is_missing("Drama")
    (True, True, False)
    """
    bare = _bare(text)
    return bare in _WRITTEN or _SAID.fullmatch(bare) is not None


def _bare(text: str) -> str:
    return " ".join(text.strip(_AROUND).casefold().replace("_", " ").split())


_YEAR = re.compile(r"(?<![0-9])(?:18|19|20)[0-9]{2}(?![0-9])")


def parse_year(cell: object) -> str:
    """The year in a cell, also of a date, a float or in brackets; empty if there is none.

    >>> parse_year("1999.0"), parse_year("(1999)"), parse_year("1999-03-31"), parse_year("N/A")
    ('1999', '1999', '1999', '')
    """
    match = _YEAR.search(clean_text(cell))
    return match[0] if match else ""
