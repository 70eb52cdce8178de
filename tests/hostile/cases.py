"""What one kind of bad input is, and the kinds that a list's cell alone decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hostile.bench import Answers, Bench, Measured
from trailergenre.base.outcomes import Outcome, RowOutcome


@dataclass(frozen=True)
class Case:
    """One kind of input.

    Attributes:
        shown: the input, as the table names it.
        expected: the class it must end in.
        measure: brings it to its end.
        is_alone: must not run beside others.
        most_requests: most requests that the server may see; None: not counted.
        note: what the class does not say.
    """

    shown: str
    expected: str
    measure: Callable[[Bench], Measured]
    most_requests: int | None = None
    note: str = ""
    is_alone: bool = False


def cell(text: str, expected: RowOutcome, *, shown: str = "", note: str = "") -> Case:
    """List cells."""
    return Case(shown or f"`{text}`", expected, lambda bench: bench.parse(text), note=note)


def web(
    shown: str,
    expected: Outcome,
    answers: Answers,
    *,
    path: str = "/clip.mp4",
    most_requests: int | None = None,
    note: str = "",
    **limits: float,
) -> Case:
    """A link to the server."""
    return Case(
        shown,
        expected,
        lambda bench: bench.fetch(answers, path, **limits),
        most_requests=most_requests,
        note=note,
    )


_LONG = "a." * 130
_SMUGGLED = "http://example.org/#__youtubedl_smuggle="

CELLS = [
    cell("", RowOutcome.LINK_EMPTY, shown="an empty cell"),
    cell(" \t ", RowOutcome.LINK_EMPTY, shown="blanks"),
    cell("\u00a0", RowOutcome.LINK_EMPTY, shown="a no-break space"),
    cell("\ufeff\u200b", RowOutcome.LINK_EMPTY, shown="a byte-order mark and a zero-width space"),
    cell("not a url", RowOutcome.LINK_INVALID),
    cell("-J", RowOutcome.LINK_INVALID),
    cell("--exec=touch x.mp4", RowOutcome.LINK_INVALID),
    cell("http://", RowOutcome.LINK_INVALID),
    cell("http:/127.0.0.1", RowOutcome.LINK_INVALID),
    cell("http://example.org:99999/", RowOutcome.LINK_INVALID),
    cell("http://example.org:0/", RowOutcome.LINK_INVALID),
    cell("http://a host/", RowOutcome.LINK_INVALID),
    cell("http://exa\tmple.org/", RowOutcome.LINK_INVALID, shown="a tab inside the host"),
    cell("http://example.org/\nx", RowOutcome.LINK_INVALID, shown="a line break inside the link"),
    cell("http://example.org/\0", RowOutcome.LINK_INVALID, shown="a NUL inside the link"),
    cell("http://example.org/\ud800", RowOutcome.LINK_INVALID, shown="a lone surrogate"),
    cell(f"http://{_LONG}org/", RowOutcome.LINK_INVALID, shown="a host of 263 characters"),
    cell("http://256.256.256.256/", RowOutcome.LINK_INVALID),
    cell(f"http://example.org/{'x' * 10**7}", RowOutcome.LINK_INVALID, shown="a link of 10 MB"),
    cell(f"{_SMUGGLED}notjson", RowOutcome.READY, note="the fragment is cut"),
    cell(_SMUGGLED + '{"force_videoid":"../x"}', RowOutcome.READY, note="the fragment is cut"),
    cell("http://user:pass@example.org/", RowOutcome.LINK_INVALID),
    cell("http://good@127.0.0.1/", RowOutcome.LINK_INVALID),
    cell("http://127.0.0.1\\@good/", RowOutcome.LINK_INVALID),
    cell("https://youtu.be/tooshort", RowOutcome.LINK_INVALID),
    cell("file:///etc/passwd", RowOutcome.SCHEME_REFUSED),
    cell("/etc/passwd", RowOutcome.SCHEME_REFUSED),
    cell("ftp://example.org/x.mp4", RowOutcome.SCHEME_REFUSED),
    cell("data:video/mp4;base64,AAAA", RowOutcome.SCHEME_REFUSED),
    cell("rtmp://example.org/x", RowOutcome.SCHEME_REFUSED),
    cell("rtsp://example.org/x", RowOutcome.SCHEME_REFUSED),
    cell("mms://example.org/x", RowOutcome.SCHEME_REFUSED),
    cell("gopher://example.org/x", RowOutcome.SCHEME_REFUSED),
    cell("javascript:alert(1)", RowOutcome.SCHEME_REFUSED),
    cell("ytsearch2:x", RowOutcome.SCHEME_REFUSED),
    cell("//example.org/x", RowOutcome.SCHEME_REFUSED),
    cell("http://127.0.0.1/", RowOutcome.HOST_DENIED, note="spellings: tests/hostile/spellings.py"),
    cell("http://2130706433/", RowOutcome.HOST_DENIED),
    cell("http://0x7f.1/", RowOutcome.HOST_DENIED),
    cell("http://①②⑦.⓪.⓪.①/", RowOutcome.HOST_DENIED),
    cell("http://[::1]/", RowOutcome.HOST_DENIED),
    cell("http://[64:ff9b::7f00:1]/", RowOutcome.HOST_DENIED),
    cell("http://localhost/", RowOutcome.HOST_DENIED),
    cell("http://169.254.169.254/latest/meta-data/", RowOutcome.HOST_DENIED),
    cell("http://example.org:22/", RowOutcome.HOST_DENIED),
    cell("https://www.youtube.com/channel/UCsQQo8qb62ik1234567890", RowOutcome.NOT_A_SINGLE_VIDEO),
    cell("https://www.youtube.com/user/movieclips", RowOutcome.NOT_A_SINGLE_VIDEO),
    cell("https://www.youtube.com/@movieclips/videos", RowOutcome.NOT_A_SINGLE_VIDEO),
    cell("https://www.youtube.com/playlist?list=PL579odJnhLhb", RowOutcome.NOT_A_SINGLE_VIDEO),
    cell("https://www.youtube.com/results?search_query=x", RowOutcome.NOT_A_SINGLE_VIDEO),
]
