"""Playlists, feeds and pages that lead elsewhere, as answers of a server."""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Sequence

from servers import Answer, content, page

HLS = "application/vnd.apple.mpegurl"
DASH = "application/dash+xml"


def hls(
    segments: Sequence[str], *, key: str | None = None, seconds: float = 1, is_live: bool = False
) -> Answer:
    """A media playlist; `key` is the whole rest of an EXT-X-KEY line."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{seconds:g}"]
    lines += ["#EXT-X-MEDIA-SEQUENCE:0"]
    lines += [f"#EXT-X-KEY:{key}"] if key else []
    for segment in segments:
        lines += [f"#EXTINF:{seconds:g},", segment]
    lines += [] if is_live else ["#EXT-X-ENDLIST"]
    return content("\n".join(lines).encode() + b"\n", HLS)


def hls_master(playlists: Sequence[str]) -> Answer:
    """A master playlist."""
    lines = ["#EXTM3U"]
    for playlist in playlists:
        lines += ["#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=640x360", playlist]
    return content("\n".join(lines).encode() + b"\n", HLS)


def dash(base_url: str, *, segments: int = 2, kind: str = "static", seconds: int = 2) -> Answer:
    """A manifest whose segments lie under a base address."""
    return content(
        f"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="{kind}" mediaPresentationDuration="PT{seconds}S">
<Period><AdaptationSet mimeType="video/mp4" codecs="avc1.4d401e">
<BaseURL>{base_url}</BaseURL>
<Representation id="v" bandwidth="100000" width="640" height="360">
<SegmentTemplate media="seg$Number$.m4s" initialization="init.mp4" startNumber="1"
 timescale="1" duration="{max(1, seconds // segments)}"/>
</Representation></AdaptationSet></Period></MPD>""".encode(),
        DASH,
    )


def entity_bomb() -> Answer:
    """A manifest of some hundred bytes that unfolds to a billion."""
    entities = ['<!ENTITY e0 "aaaaaaaaaa">']
    entities += [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9)]
    document = (
        f'<?xml version="1.0"?><!DOCTYPE MPD [{"".join(entities)}]>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Title>&e8;</Title></MPD>'
    )
    return content(document.encode(), DASH)


def rss(links: Sequence[str]) -> Answer:
    """A feed of several videos."""
    items = "".join(
        f"<item><title>{n}</title><link>{link}</link></item>" for n, link in enumerate(links)
    )
    return content(
        f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode(),
        "application/rss+xml",
    )


def videos(links: Sequence[str]) -> Answer:
    """A page with a player for each link."""
    return page("".join(f'<video src="{html.escape(link)}"></video>' for link in links))


def described(link: str, **facts: str) -> Answer:
    """A page that describes its video in JSON-LD."""
    facts = {"@context": "https://schema.org", "@type": "VideoObject", "name": "x", **facts}
    document = json.dumps({**facts, "contentUrl": link})
    return page(f'<script type="application/ld+json">{document}</script>')


def f4m(url: str) -> Answer:
    """A manifest of Adobe's streaming."""
    return content(
        f"""<?xml version="1.0"?><manifest xmlns="http://ns.adobe.com/f4m/1.0"><id>x</id>
<media url="{url}" bitrate="100" width="640" height="360"/></manifest>""".encode(),
        "application/f4m+xml",
    )


def xspf(links: Sequence[str]) -> Answer:
    """A playlist of several videos."""
    tracks = "".join(
        f"<track><title>x</title><location>{link}</location></track>" for link in links
    )
    return content(
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/">'
        f"<trackList>{tracks}</trackList></playlist>".encode(),
        "application/xspf+xml",
    )


def gzip_bomb(megabytes: int) -> Answer:
    """A page of blanks that is a thousandth of its size on its way."""
    # A file of several parts unfolds to all of them, one behind the other.
    blanks = gzip.compress(b" " * (1 << 20), 6)
    body = gzip.compress(b"<!DOCTYPE html><html>") + blanks * megabytes
    return content(body, "text/html", Content_Encoding="gzip")
