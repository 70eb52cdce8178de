"""All spellings of a link have one canonical form; everything else is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from yt_dlp.extractor.youtube import YoutubeIE

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.outcomes import RowOutcome
from trailergenre.links.canonical import LinkError, is_denied_host, link_id, parse_link

WATCH = "https://www.youtube.com/watch?v=eUTtt14G31c"


def parse(
    cell: str,
    *,
    allow: tuple[str, ...] = (),
    roots: tuple[Path, ...] = (),
    base: Path | None = None,
) -> str:
    """The canonical link of a cell."""
    links = LinksConfig(allowed_roots=tuple(str(root) for root in roots))
    return parse_link(cell, links=links, network=NetworkConfig(allow=allow), base=base).url


def refuse(cell: str, **options: object) -> LinkError:
    """The outcome of a cell that is not a link."""
    with pytest.raises(LinkError) as caught:
        parse(cell, **options)  # type: ignore[arg-type]
    return caught.value


YOUTUBE = [
    WATCH,
    "http://www.youtube.com/watch?v=eUTtt14G31c",
    "https://www.youtube.com:443/watch?v=eUTtt14G31c",
    "HTTPS://WWW.YOUTUBE.COM/watch?v=eUTtt14G31c",
    "https://youtube.com/watch?v=eUTtt14G31c&t=16s",
    "https://www.youtube.com/watch?t=3&v=eUTtt14G31c",
    "https://www.youtube.com/watch?v=eUTtt14G31c&list=PL579odJnhLhbKVQMS1p9mF40FXPJw5V1c",
    "https://www.youtube.com/watch/?v=eUTtt14G31c#t=9",
    "https://m.youtube.com/watch?v=eUTtt14G31c",
    "https://music.youtube.com/watch?v=eUTtt14G31c",
    "https://www.youtube-nocookie.com/embed/eUTtt14G31c?autoplay=1",
    "https://www.youtube.com/embed/eUTtt14G31c",
    "https://www.youtube.com/shorts/eUTtt14G31c",
    "https://www.youtube.com/live/eUTtt14G31c?si=x",
    "https://www.youtube.com/v/eUTtt14G31c",
    "https://youtu.be/eUTtt14G31c",
    "https://youtu.be/eUTtt14G31c?si=share&t=3",
    "youtu.be/eUTtt14G31c",
    "www.youtube.com/watch?v=eUTtt14G31c",
    "www.youtube.com.:443/watch?v=eUTtt14G31c",
    "\u00a0 https://www.youtube.com/watch?v=eUTtt14G31c\u00a0\t\ufeff",
    "https://www.youtube.com/watch?v=eUTtt14G31c%20",
    WATCH + "#__youtubedl_smuggle=%7B%22force_videoid%22%3A%22../../x%22%7D",
    WATCH + "?rel=0",
    WATCH + "?hl=en&fs=1&w=425",
    WATCH + "/",
    WATCH + "=lru?",
    "https://www.youtube.com/watch/?v=eUTtt14G31c/",
    "https://www.youtube.com/watch#!v=eUTtt14G31c",
    "https://www.youtube.com/watch#v=eUTtt14G31c",
    "https://www.youtube.com/#/watch?v=eUTtt14G31c",
    "https://www.youtube.com/#!/watch?v=eUTtt14G31c",
    "https://www.youtube.com/?v=eUTtt14G31c",
    "https://www.youtube.com/watch.php?v=eUTtt14G31c",
    "https://www.youtube.com/watch_popup?v=eUTtt14G31c",
    "https://www.youtube.com/movie?v=eUTtt14G31c",
    "https://www.youtube.com/watch?feature=player_embedded&amp;v=eUTtt14G31c",
    "https://www.youtube.com/watch?feature=player_embedded;v=eUTtt14G31c",
    "https://www.youtube.com/v/eUTtt14G31c?version=3&hl=en",
    "https://www.youtube.com/v/eUTtt14G31c&hl=en",
    "https://www.youtube.com/embed/eUTtt14G31c/?rel=0",
    "https://www.youtube.com/shorts/eUTtt14G31c?feature=share",
    "https://youtube.googleapis.com/v/eUTtt14G31c",
    "https://www.youtubekids.com/watch?v=eUTtt14G31c",
    "https://youtu.be/eUTtt14G31c/",
    "https://youtu.be/watch?v=eUTtt14G31c",
    "https://youtu.be/eUTtt14G31c&feature=youtu.be",
    "https://www.youtube.com/watch?v=eUTtt14G31c&feature=youtu.be",
    "https://www.youtube.com/attribution_link?a=x&u=%2Fwatch%3Fv%3DeUTtt14G31c%26feature%3Dshare",
    "https://www.youtube.com/redirect?q=https%3A%2F%2Fyoutu.be%2FeUTtt14G31c",
    "https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3DeUTtt14G31c",
    "https://www.youtube.com/oembed?url=https%3A//www.youtube.com/watch?v%3DeUTtt14G31c",
    "https://www.google.com/url?sa=t&url=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3DeUTtt14G31c",
    "https://www.google.co.uk/url?q=https://youtu.be/eUTtt14G31c&sa=D",
    "https://l.facebook.com/l.php?u=https%3A%2F%2Fyoutu.be%2FeUTtt14G31c",
    "https://hooktube.com/watch?v=eUTtt14G31c",
    "https://invidious.example/watch?v=eUTtt14G31c&quality=dash",
    "https://www.invidious.nerdvpn.de/embed/eUTtt14G31c",
    "https://inv.nadeko.net/watch?v=eUTtt14G31c",
    "https://yewtu.be/watch?v=eUTtt14G31c",
    "https://piped.kavin.rocks/watch?v=eUTtt14G31c",
    "https://deturl.com/www.youtube.com/watch?v=eUTtt14G31c",
    "https://youtu.be/eUTtt14G31c Avatar",
    "https://www.youtube.com/watch?v=eUTtt14G31c - Official Trailer",
    "eUTtt14G31c",
    "<https://youtu.be/eUTtt14G31c>",
    '"https://youtu.be/eUTtt14G31c"',
]


@pytest.mark.parametrize("cell", YOUTUBE)
def test_every_spelling_of_a_youtube_video_is_one_link(cell: str) -> None:
    assert parse(cell) == WATCH


@pytest.mark.parametrize(
    "page",
    [
        "/channel/UCsQQo8qb62ik1234567890",
        "/user/movieclips",
        "/user/elevenchars",
        "/c/Movieclips",
        "/@movieclips",
        "/@movieclips/videos",
        "/playlist?list=PL579odJnhLhbKVQMS1p9mF40FXPJw5V1c",
        "/watch?list=PL579odJnhLhbKVQMS1p9mF40FXPJw5V1c",
        "/results?search_query=trailer",
        "/embed/videoseries?list=PL579odJnhLhbKVQMS1p9mF40FXPJw5V1c",
        "/embed/live_stream?channel=UCsQQo8qb62ik1234567890",
        "/feed/trending",
        "/redirect?q=https%3A%2F%2Fexample.org%2Fx",
        "/attribution_link?a=x&u=%2Fchannel%2FUCsQQo8qb62ik",
        "/watch_videos?video_ids=eUTtt14G31c,HKSZtp_OGHY",
        "/",
        "",
    ],
)
def test_channel_page_is_not_a_video(page: str) -> None:
    outcome = refuse(f"https://www.youtube.com{page}").row_outcome
    assert outcome is RowOutcome.NOT_A_SINGLE_VIDEO


@pytest.mark.parametrize(
    ("cell", "url"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/a?b=1&a=2#part", "http://example.org/a?b=1&a=2"),
        ("https://example.org:80/", "https://example.org:80/"),
        ("example.org/Trailer.mp4", "https://example.org/Trailer.mp4"),
        ("example.org", "https://example.org/"),
        ("https://example.org./x", "https://example.org/x"),
        ("https://BÜCHER.example/x", "https://xn--bcher-kva.example/x"),
        ("https://xn--bcher-kva.example/x", "https://xn--bcher-kva.example/x"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://example.org/a b/ü.mp4?q=a b", "https://example.org/a%20b/%C3%BC.mp4?q=a%20b"),
        ("https://example.org/a%20b", "https://example.org/a%20b"),
        ("https://example.org/x#__youtubedl_smuggle=notjson", "https://example.org/x"),
        ("http://0x08.8.8.8/", "http://8.8.8.8/"),
        ("http://[2A00:1450:0::1]/", "http://[2a00:1450::1]/"),
        (
            "https://notyoutube.com/watch?v=eUTtt14G31c",
            "https://notyoutube.com/watch?v=eUTtt14G31c",
        ),
        ("https://vimeo.com/channels/x", "https://vimeo.com/channels/x"),
    ],
)
def test_web_links_get_one_spelling(cell: str, url: str) -> None:
    assert parse(cell) == url
    assert parse(url) == url


def test_link_id_is_the_sha256_of_the_canonical_link() -> None:
    link = parse_link("youtu.be/eUTtt14G31c", links=LinksConfig(), network=NetworkConfig())
    assert link.link_id == link_id(WATCH) == hashlib.sha256(WATCH.encode()).hexdigest()


@pytest.mark.parametrize("cell", ["", "  ", "\u00a0", "\t\n", "\ufeff\u200b", "nan", "N/A", "-"])
def test_blank_cell_is_an_empty_link(cell: str) -> None:
    assert refuse(cell).row_outcome is RowOutcome.LINK_EMPTY


@pytest.mark.parametrize(
    "cell",
    [
        "not a url",
        "-J",
        "--exec=touch x.mp4",
        "trailer",
        "http://",
        "http:/127.0.0.1",
        "https:///watch?v=x",
        "http://host:99999/",
        "http://host:0/",
        "http://host:x/",
        "http://a host/",
        "http://exa\tmple.org/",
        "http://exa\nmple.org/",
        "http://example.org/\x00",
        "http://example\\.org/",
        "http://127.0.0.1\\@good/",
        "http://user:secret@example.org/",
        "http://good@127.0.0.1/",
        "http://[::1",
        "http://[v1.x]/",
        "http://a℀b.com/",
        "http://-a.org/",
        "http://a..b/",
        "http://256.256.256.256/",
        "http://1.2.3.4.5/",
        "http://" + "a." * 130 + "org/",
        "http://example.org/\ud800",
        f"http://example.org/{'x' * 8000}",
        "https://youtu.be/tooshort",
        "https://youtu.be/eUTtt14G31c https://youtu.be/HKSZtp_OGHY",
        "https://youtu.be/eUTtt14G31c,https://youtu.be/HKSZtp_OGHY",
        "https://example.org/1|https://example.org/2",
        "https://youtu.be/eUTtt14G31c or youtu.be/HKSZtp_OGHY",
        "https://www.youtube.com/watch?v=eUTtt14G31c_too_long",
        "https://www.youtube.com/shorts/../../../etc",
    ],
)
def test_what_is_not_a_link_is_invalid(cell: str) -> None:
    assert refuse(cell).row_outcome is RowOutcome.LINK_INVALID


def test_a_password_does_not_reach_the_detail() -> None:
    assert "secret" not in refuse("http://user:secret@example.org/").detail


@pytest.mark.parametrize(
    "cell",
    [
        "ftp://example.org/x.mp4",
        "data:video/mp4;base64,AAAA",
        "rtmp://example.org/x",
        "rtsp://example.org/x",
        "mms://example.org/x",
        "gopher://example.org/x",
        "javascript:alert(1)",
        "ytsearch2:x",
        "ytsearch:2012",
        "//example.org/x",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "../x.mp4",
        "~/x.mp4",
        "my clip.mp4",
        "C:\\clips\\x.mp4",
    ],
)
def test_other_schemes_and_files_are_refused(cell: str) -> None:
    assert refuse(cell).row_outcome is RowOutcome.SCHEME_REFUSED


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "localhost",
        "LOCALHOST.",
        "foo.localhost",
        "10.0.0.1",
        "192.168.0.1:80",
        "169.254.169.254",
        "168.63.129.16",
        "example.org:22",
        "example.org:6000",
        "example.org:8080",
    ],
)
def test_addresses_that_are_not_public_are_denied_in_every_spelling(host: str) -> None:
    error = refuse(f"http://{host}/x")
    assert error.row_outcome is RowOutcome.HOST_DENIED
    assert "network.allow" in error.detail


def test_an_exactly_allowed_address_and_port_is_a_link() -> None:
    allow = ("127.0.0.1:8123", "localhost:80", "[::1]:8123", "example.org:8080")
    assert parse("http://127.0.0.1:8123/x", allow=allow) == "http://127.0.0.1:8123/x"
    assert parse("http://2130706433:8123/x", allow=allow) == "http://127.0.0.1:8123/x"
    assert parse("http://localhost/", allow=allow) == "http://localhost/"
    assert parse("http://[::1]:8123/", allow=allow) == "http://[::1]:8123/"
    assert parse("https://example.org:8080/", allow=allow) == "https://example.org:8080/"
    for cell in ("http://127.0.0.1:8124/x", "http://127.0.0.2:8123/", "https://localhost/"):
        assert refuse(cell, allow=allow).row_outcome is RowOutcome.HOST_DENIED


def test_is_denied_host_takes_canonical_hosts() -> None:
    assert is_denied_host("127.0.0.1")
    assert not is_denied_host("8.8.8.8")
    assert not is_denied_host("localhost.example.org")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file under a root, in a directory whose name needs escaping."""
    path = tmp_path / "root" / "sci fi" / "clip #1.mp4"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_a_file_is_a_link_under_an_allowed_root(clip: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    url = clip.as_uri()
    assert url.endswith("/root/sci%20fi/clip%20%231.mp4")
    for cell in (str(clip), url, url.replace("file:///", "file://localhost/")):
        assert parse(cell, roots=(root,)) == url
    assert parse("sci fi/clip #1.mp4", roots=(root,), base=root) == url
    assert parse("clip #1.mp4", roots=(root,), base=clip.parent) == url


def test_a_file_wins_over_a_host_of_its_name_where_files_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "season.one" / "clip.mp4"
    path.parent.mkdir()
    path.touch()
    assert parse("season.one/clip.mp4", roots=(tmp_path,), base=tmp_path) == path.as_uri()
    assert parse("season.one/clip.mp4", base=tmp_path) == "https://season.one/clip.mp4"


def test_a_file_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    path = tmp_path / "clip\udcff.mp4"
    path.touch()
    assert path.as_uri().endswith("/clip%FF.mp4")
    assert parse(path.as_uri(), roots=(tmp_path,)) == path.as_uri()


def test_a_file_outside_of_the_roots_is_refused(clip: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.touch()
    way_out = clip.parent / "way out.mp4"
    way_out.symlink_to(outside)
    root = tmp_path / "root"
    for cell in (
        str(outside),
        str(way_out),
        f"{root}/../outside.mp4",
        f"{root}-2/x.mp4",
        "file:///etc/passwd",
        "file://server/share/x.mp4",
    ):
        assert refuse(cell, roots=(root,)).row_outcome is RowOutcome.SCHEME_REFUSED


def test_a_missing_file_a_directory_and_a_loop_are_invalid(clip: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    loop = root / "loop.mp4"
    loop.symlink_to(loop)
    for cell in (f"{root}/none.mp4", str(clip.parent), str(loop), f"file://{root}/%00.mp4"):
        assert refuse(cell, roots=(root,)).row_outcome is RowOutcome.LINK_INVALID
    assert refuse(f"{root}/{'x' * 300}.mp4", roots=(root,)).row_outcome is RowOutcome.LINK_INVALID


def test_a_link_through_a_symlink_is_the_real_file(clip: Path, tmp_path: Path) -> None:
    alias = tmp_path / "root" / "alias.mp4"
    alias.symlink_to(clip)
    assert parse(str(alias), roots=(tmp_path / "root",)) == clip.as_uri()


def test_whatever_yt_dlp_takes_as_one_video_is_that_video() -> None:
    """The addresses in yt-dlp's own tests, and those here that it knows."""
    pages = [str(case["url"]) for case in YoutubeIE._TESTS]
    pages = [page for page in [*pages, *YOUTUBE] if YoutubeIE.suitable(page)]
    assert len(pages) > 90
    for page in pages:
        expected = f"https://www.youtube.com/watch?v={YoutubeIE.extract_id(page)}"
        assert parse(page.removeprefix("//")) == expected


@pytest.mark.parametrize(
    "link",
    [
        "https://invidious.example/channel/UCsQQo8qb62ik1234567890",
        "https://invidious.example/watch?v=short",
        "https://www.google.com/url?q=https://www.youtube.com/watch?v=short",
        "https://deturl.com/www.example.org/watch?v=eUTtt14G31c",
        "https://notinvidious.example/watch?v=eUTtt14G31c",
    ],
)
def test_a_page_that_shows_no_youtube_video_stays_what_it_is(link: str) -> None:
    assert parse(link) == link
