"""The kinds that a server decides: what it answers, and where it leads."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from itertools import repeat

from hostile.bench import Place
from hostile.cases import Case, web
from servers import (
    Answer,
    broken_chunk,
    chunks,
    content,
    drips,
    fails_first,
    hangs,
    page,
    raw,
    redirect,
    resets,
    stalls,
    status,
)
from servers.manifests import (
    DASH,
    dash,
    described,
    entity_bomb,
    f4m,
    gzip_bomb,
    hls,
    hls_master,
    rss,
    videos,
    xspf,
)
from trailergenre.base.outcomes import Outcome

_BODY = b"\0" * 100_000
_KEY = "METHOD=AES-128,URI="


def one(reply: Answer) -> dict[str, Answer]:
    """A server of one file."""
    return {"/clip.mp4": reply}


STATUSES = [
    web(f"{code}", outcome, lambda _, code=code: one(status(code)), most_requests=requests)
    for code, outcome, requests in [
        (404, Outcome.UNAVAILABLE, 1),
        (410, Outcome.UNAVAILABLE, 1),
        (451, Outcome.UNAVAILABLE, 1),
        (401, Outcome.FORBIDDEN, 1),
        (403, Outcome.FORBIDDEN, 1),
        (500, Outcome.HTTP_5XX, 3),
        (503, Outcome.HTTP_5XX, 3),
    ]
] + [
    web(
        "429, `Retry-After: 0`",
        Outcome.THROTTLED,
        lambda _: one(status(429, Retry_After="0")),
        most_requests=3,
    ),
]

LEADS = [
    web(
        "a redirect to a denied address",
        Outcome.HOST_DENIED,
        lambda at: one(redirect(f"{at.trap}/x.mp4")),
        most_requests=1,
    ),
    web(
        "a page that embeds a denied address",
        Outcome.HOST_DENIED,
        lambda at: one(videos([f"{at.trap}/x.mp4"])),
        most_requests=1,
    ),
    web(
        "an HLS segment at a denied address",
        Outcome.HOST_DENIED,
        lambda at: one(hls([f"{at.trap}/x.ts"])),
    ),
    web(
        "an HLS master playlist that refers to a denied address",
        Outcome.HOST_DENIED,
        lambda at: one(hls_master([f"{at.trap}/x.m3u8"])),
    ),
    web(
        "an HLS key at a denied address",
        Outcome.HOST_DENIED,
        lambda at: one(hls(["x.ts"], key=f'{_KEY}"{at.trap}/key"')) | {"/x.ts": content(_BODY)},
    ),
    web(
        "a DASH manifest whose segments are at a denied address",
        Outcome.HOST_DENIED,
        lambda at: one(dash(f"{at.trap}/")),
    ),
    web("a redirect to `file:`", Outcome.REDIRECT, lambda _: one(redirect("file:///etc/passwd"))),
    web("a redirect to `ftp:`", Outcome.REDIRECT, lambda at: one(redirect("ftp://x.example/x"))),
    web(
        "a redirect loop",
        Outcome.REDIRECT,
        lambda at: one(redirect("clip.mp4")),
        most_requests=6,
    ),
    web(
        "an endless chain of redirects",
        Outcome.REDIRECT,
        lambda at: {"/clip.mp4": redirect("n/1"), "/n/*": _onward},
        most_requests=6,
    ),
    web(
        "an endless chain of pages that refresh to the next",
        Outcome.REDIRECT,
        lambda at: {"/clip.mp4": refresh("n/1"), "/n/*": _refresh_onward},
        most_requests=6,
    ),
    web("a redirect without a target", Outcome.REDIRECT, lambda _: one(status(302))),
    web(
        "a redirect to `http://[bad/`",
        Outcome.LINK_INVALID,
        lambda _: one(redirect("http://[bad/")),
    ),
    web(
        "a redirect to port 99999",
        Outcome.LINK_INVALID,
        lambda _: one(redirect("http://a.b:99999/")),
    ),
    web(
        "a page that embeds `http://[bad/`",
        Outcome.LINK_INVALID,
        lambda _: one(videos(["http://[bad/x"])),
    ),
    web(
        "an HLS segment at `http://[bad/`",
        Outcome.LINK_INVALID,
        lambda _: one(hls(["http://[bad/x"])),
    ),
    web(
        "a page that embeds `file:///etc/passwd`",
        Outcome.FORMAT_NOT_ALLOWED,
        lambda _: one(videos(["file:///etc/passwd"])),
        note="as for every protocol except http(s)",
    ),
    web(
        "a page whose thumbnail and subtitles are at a denied address",
        Outcome.OK,
        lambda at: {
            "/clip.mp4": page(
                f'<meta property="og:image" content="{at.trap}/x.png">'
                f'<video src="x.mp4" poster="{at.trap}/x.png"><track src="{at.trap}/x.vtt"></video>'
            ),
            "/x.mp4": content(at.clip),
        },
        note="only the video is requested",
    ),
    web("a page without a video", Outcome.UNSUPPORTED_SITE, lambda _: one(page("<p>x</p>"))),
    web(
        "a login page",
        Outcome.UNSUPPORTED_SITE,
        lambda _: one(page("<form action=/login><input name=password type=password></form>")),
    ),
    web(
        "a page with a bot check",
        Outcome.UNSUPPORTED_SITE,
        lambda _: one(page("<h1>Sign in to confirm you're not a bot</h1>")),
        note="the text of a page is not read; YouTube's own error of these words is `throttled`",
    ),
    web(
        "a page that embeds six videos",
        Outcome.NOT_A_SINGLE_VIDEO,
        lambda at: {"/*": content(at.clip), **one(videos([f"{n}.mp4" for n in range(6)]))},
        most_requests=3,
    ),
    web(
        "a feed of five videos",
        Outcome.NOT_A_SINGLE_VIDEO,
        lambda at: {"/*": content(at.clip), **one(rss([f"{at.url}/{n}.mp4" for n in range(5)]))},
        most_requests=3,
    ),
]


def refresh(target: str) -> Answer:
    """A page that leads on by itself."""
    return page(f'<meta http-equiv="refresh" content="0; url={target}">')


def _refresh_onward(request: BaseHTTPRequestHandler, seen: int) -> None:
    number = int(request.path.rpartition("/")[2])
    refresh(str(number + 1))(request, seen)


def _onward(request: BaseHTTPRequestHandler, seen: int) -> None:
    number = int(request.path.rpartition("/")[2])
    redirect(str(number + 1))(request, seen)


BODIES = [
    web("an empty response", Outcome.NO_FILE, lambda _: one(content(b""))),
    web(
        "larger than the limit, with a length",
        Outcome.TOO_LARGE,
        lambda _: one(content(_BODY)),
        max_file_bytes=50_000,
    ),
    web(
        "larger than the limit, without a length",
        Outcome.TOO_LARGE,
        lambda _: one(chunks([_BODY] * 20)),
        max_file_bytes=500_000,
    ),
    web(
        "endless",
        Outcome.TOO_LARGE,
        lambda _: one(chunks(repeat(_BODY))),
        max_file_bytes=500_000,
    ),
    web(
        "HLS segments that exceed the limit in total",
        Outcome.TOO_LARGE,
        lambda _: one(hls([f"{n}.ts" for n in range(20)])) | {"/*": content(_BODY)},
        max_file_bytes=500_000,
    ),
    web(
        "DASH segments that exceed the limit in total",
        Outcome.TOO_LARGE,
        lambda at: one(dash(f"{at.url}/", segments=20, seconds=20)) | {"/*": content(_BODY)},
        max_file_bytes=500_000,
    ),
    web("a live HLS playlist", Outcome.LIVE, lambda _: _live(hls(["x.ts"], is_live=True))),
    web("a live DASH manifest", Outcome.LIVE, lambda at: _live(dash(f"{at.url}/", kind="dynamic"))),
    web(
        "an HLS playlist with a SAMPLE-AES key",
        Outcome.FORMAT_NOT_ALLOWED,
        lambda _: _live(hls(["x.ts"], key='METHOD=SAMPLE-AES,URI="key"')),
    ),
    web(
        "an HLS segment of `file:`",
        Outcome.SCHEME,
        lambda _: one(hls(["file:///etc/passwd"])),
    ),
    web(
        "an HLS key of `file:`",
        Outcome.SCHEME,
        lambda _: one(hls(["x.ts"], key=f'{_KEY}"file:///etc/passwd"')) | {"/*": content(_BODY)},
    ),
    web(
        "an HLS playlist whose segments are missing",
        Outcome.UNAVAILABLE,
        lambda _: one(hls(["gone.ts"])),
    ),
    web(
        "an HLS playlist whose segments are web pages",
        Outcome.NOT_MEDIA,
        lambda _: one(hls(["x.ts"])) | {"/x.ts": page("<p>x</p>")},
    ),
    web(
        "an HLS master playlist that refers to itself",
        Outcome.LIVE,
        lambda _: one(hls_master(["clip.mp4"])),
        most_requests=6,
        note="it never ends",
    ),
    web("an Adobe manifest (F4M)", Outcome.FORMAT_NOT_ALLOWED, lambda _: one(f4m("x"))),
    web(
        "an XSPF playlist of two videos",
        Outcome.NOT_A_SINGLE_VIDEO,
        lambda at: one(xspf([f"{at.url}/1.mp4", f"{at.url}/2.mp4"])),
        most_requests=3,
    ),
    web(
        "a page that declares a video of 3 hours",
        Outcome.TOO_LONG,
        lambda at: {
            "/clip.mp4": described(f"{at.url}/x.mp4", duration="PT3H"),
            "/x.mp4": content(at.clip),
        },
    ),
    web(
        "fewer bytes than announced",
        Outcome.TRUNCATED_DOWNLOAD,
        lambda _: one(content(_BODY, length=200_000)),
        most_requests=6,
    ),
    web(
        "a connection that is reset",
        Outcome.TRUNCATED_DOWNLOAD,
        lambda _: one(resets(_BODY, length=200_000)),
        attempts=2,
    ),
    web(
        "a server that stalls",
        Outcome.STALLED,
        lambda at: one(stalls(_BODY, at.release)),
        attempts=1,
    ),
    web(
        "a server that sends nothing",
        Outcome.STALLED,
        lambda at: one(hangs(at.release)),
        attempts=1,
    ),
    web(
        "a byte every 0.2 seconds",
        Outcome.TIMEOUT,
        lambda at: one(drips(at.release)),
        deadline_s=5,
    ),
    web(
        "a page of 4 GB in 4 MB",
        Outcome.RESOURCE,
        lambda _: one(gzip_bomb(4000)),
        most_requests=1,
        note="larger than 8 MB after decompression; a video file may be larger",
    ),
    web(
        "a page of 20 MB",
        Outcome.RESOURCE,
        lambda _: one(page("<p>x</p>" * 2_500_000)),
        most_requests=1,
    ),
    web(
        "a DASH manifest of 20 MB",
        Outcome.RESOURCE,
        lambda _: one(content(b"<MPD>" + b"<Period/>" * 2_200_000, DASH)),
    ),
    web(
        "20,000 HLS segments of 5 ms",
        Outcome.RESOURCE,
        lambda _: (
            one(hls([f"{n}.ts" for n in range(20_000)], seconds=0.005))
            | {"/*": content(b"\0" * 188)}
        ),
        max_requests=50,
        most_requests=50,
        note="a link's requests are limited by `limits.max_requests`",
    ),
    web(
        "HLS segments that each lead to another address",
        Outcome.RESOURCE,
        lambda _: (
            one(hls([f"n/{n}" for n in range(100)]))
            | {"/n/*": redirect("../x.ts"), "/x.ts": content(b"\0" * 188)}
        ),
        max_requests=50,
        most_requests=50,
        note="a redirect is a request, too",
    ),
    web(
        "a response that is not HTTP",
        Outcome.TRUNCATED_DOWNLOAD,
        lambda _: one(raw(b"SSH-2.0-x\r\n" * 3)),
        attempts=1,
    ),
    web(
        "a chunk that ends early",
        Outcome.TRUNCATED_DOWNLOAD,
        lambda _: one(broken_chunk(_BODY)),
        attempts=1,
    ),
    web(
        "503 twice, then a video",
        Outcome.OK,
        lambda at: one(fails_first(2, status(503), content(at.clip))),
    ),
    web(
        "429 with `Retry-After`, then a video",
        Outcome.OK,
        lambda at: _flaky(status(429, Retry_After="1"), at, times=1),
    ),
    web(
        "a DASH manifest that expands to 1 GB",
        Outcome.UNSUPPORTED_SITE,
        lambda _: one(entity_bomb()),
    ),
    web(
        "a program",
        Outcome.NOT_MEDIA,
        lambda _: {"/x.exe": content(b"MZ" + _BODY, "application/octet-stream")},
        path="/x.exe",
    ),
    web(
        "a web page declared as video/mp4",
        Outcome.NOT_MEDIA,
        lambda _: one(content(b"<html>" * 50)),
    ),
]


def _flaky(failure: Answer, at: Place, *, times: int) -> dict[str, Answer]:
    return one(fails_first(times, failure, content(at.clip)))


def _live(reply: Answer) -> dict[str, Answer]:
    return one(reply) | {"/x.ts": content(_BODY)}


def _named(shown: str, path: str, **headers: str) -> Case:
    return web(shown, Outcome.OK, lambda at: {"/*": content(at.clip, **headers)}, path=path)


NAMES = [
    _named("a name of 300 characters", f"/{'x' * 300}.mp4"),
    _named("`$(touch x)` in the name", "/$(touch%20x).mp4"),
    _named("a NUL in the name", "/a%00b.mp4"),
    _named("`%2e%2e%2f` in the name", "/%2e%2e%2f%2e%2e%2fescape.mp4"),
    _named(
        '`Content-Disposition: filename="../../x.sh"`',
        "/clip.mp4",
        Content_Disposition='attachment; filename="../../x.sh"',
    ),
]

WEB = [*STATUSES, *LEADS, *BODIES, *NAMES]
