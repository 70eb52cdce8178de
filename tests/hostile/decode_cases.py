"""What a downloaded file can be, and the class that each must end in; good kinds among them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hostile import decode_files as files
from hostile.decode_files import CLUSTER, FAST_START, Make, cut, remux, seed, written, x264
from trailergenre.base.outcomes import Outcome

OK = Outcome.OK
PARTIAL = Outcome.PARTIAL
DECODE = Outcome.DECODE
FORMAT = Outcome.FORMAT_NOT_ALLOWED
NOT_MEDIA = Outcome.NOT_MEDIA
NO_VIDEO = Outcome.NO_VIDEO
DIMENSIONS = Outcome.DIMENSIONS
RESOURCE = Outcome.RESOURCE
TOO_LONG = Outcome.TOO_LONG


@dataclass(frozen=True)
class DecodeCase:
    """One kind of file.

    Attributes:
        row: number of the kind in the design's list of bad inputs; 0 for good kinds that it lacks.
        name: what the file is.
        make: writes it.
        outcome: the class it must end in.
        frames: at 1 frame a second; None where it has none to give.
    """

    row: int
    name: str
    make: Make
    outcome: Outcome
    frames: int | None = None


def bad(
    row: int, name: str, outcome: Outcome, suffix: str, content: Callable[[], bytes]
) -> DecodeCase:
    """A file that gives no features."""
    return DecodeCase(row, name, written(suffix, content), outcome)


def good(row: int, name: str, frames: int, suffix: str, content: Callable[[], bytes]) -> DecodeCase:
    """A file that must not be refused."""
    return DecodeCase(row, name, written(suffix, content), OK, frames)


def text(row: int, name: str, content: str) -> DecodeCase:
    """A playlist or the like that calls itself a video."""
    return bad(row, name, FORMAT, ".mp4", content.encode)


VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-s", "64x48")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-s", "64x48")
X264_444 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")
HDR = (
    *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    *("-pix_fmt", "yuv420p10le", "-color_primaries", "bt2020", "-color_trc", "smpte2084"),
    *("-colorspace", "bt2020nc"),
)
AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime")
GAP = ("-vf", "setpts='(N/10+if(gte(N,40),4,0))/TB'", "-fps_mode", "vfr")
JUMP_BACK = ("-bsf:v", "setts=ts='if(eq(mod(N,7),6),TS-0.3/TB,TS)'")
KEEP_NEGATIVE = ("-avoid_negative_ts", "disabled")
CENC = (
    # Else the counter begins at a random number, and the damage that the decoder sees differs.
    *("-fflags", "+bitexact"),
    *("-encryption_scheme", "cenc-aes-ctr"),
    *("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
    *("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
)
AT_100_000_S = ("-output_ts_offset", "100000")
SHORT_CLUSTERS = ("-cluster_time_limit", "500", "-g", "5")
FRAGMENTS = ("-g", "10", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
INDEXED_FRAGMENTS = ("-g", "10", "-movflags", "dash+frag_keyframe+default_base_moof+global_sidx")
MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-live:2011" mediaPresentationDuration="PT5S"><Period>'
    '<AdaptationSet mimeType="video/mp4">{}</AdaptationSet></Period></MPD>'
)
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
FORGED = "a\n[error] forged\n[h264 @ 0x1] [error] corrupt decoded frame\n  Duration: 09:00:00.00"


def film(source: str) -> bytes:
    """An H.264 video in MP4 of a source of pictures."""
    return x264(".mp4", film=source)


def picture(suffix: str) -> bytes:
    """One frame as a picture file."""
    return seed(suffix, "-frames:v", "1")


NO_CONTAINERS = [
    bad(31, "zero-byte file", NOT_MEDIA, ".mp4", bytes),
    bad(31, "random bytes", NOT_MEDIA, ".mp4", lambda: random.Random(4).randbytes(50_000)),
    bad(31, "zeros", NOT_MEDIA, ".mp4", lambda: bytes(50_000)),
    bad(31, "HTML page", NOT_MEDIA, ".mp4", lambda: b"<!doctype html><html>" * 99),
    bad(31, "program", NOT_MEDIA, ".mp4", lambda: b"MZ\x90\0\3\0\0\0\4" + bytes(4000)),
    bad(40, "JPEG image", FORMAT, ".mp4", lambda: picture(".jpg")),
    bad(40, "PNG image", FORMAT, ".mp4", lambda: picture(".png")),
    bad(40, "animated GIF", FORMAT, ".mp4", lambda: seed(".gif", film="testsrc2=s=64x64:d=1")),
    bad(40, "PNG of 30,000 x 30,000", FORMAT, ".mp4", lambda: files.png_bomb(30_000)),
    text(46, "ffconcat list", "ffconcat version 1.0\nfile clip.mp4\n"),
    text(46, "HLS playlist", HLS.format("clip.ts")),
    text(46, "DASH manifest", MPD.format("<BaseURL>clip.mp4</BaseURL>")),
    text(46, "SDP session", SDP),
    text(47, "HLS master that refers to a local file", MASTER.format("/etc/passwd")),
    text(47, "HLS master that refers to http", MASTER.format("http://127.0.0.1/x.m3u8")),
    text(48, "HLS playlist that refers to itself", MASTER.format("clip.mp4")),
    text(48, "DASH manifest with an empty template", MPD.format("<SegmentTemplate/>")),
    bad(51, "FLIC animation", FORMAT, ".mp4", files.flic),
]

CUT = [
    bad(32, "MP4 cut, index at the end", PARTIAL, ".mp4", lambda: cut(x264(".mp4"))),
    bad(32, "QuickTime cut, index at the end", PARTIAL, ".mov", lambda: cut(x264(".mov"))),
    bad(33, "MP4 cut, index first", PARTIAL, ".mp4", lambda: cut(x264(".mp4", *FAST_START))),
    bad(33, "MP4 cut, in fragments", PARTIAL, ".mp4", lambda: cut(x264(".mp4", *FRAGMENTS))),
    bad(
        33,
        "MP4 cut, in indexed fragments",
        PARTIAL,
        ".mp4",
        lambda: cut(x264(".mp4", *INDEXED_FRAGMENTS)),
    ),
    bad(33, "MPEG-TS cut", PARTIAL, ".ts", lambda: cut(x264(".ts"), 0.601)),
    bad(34, "Matroska cut", PARTIAL, ".mkv", lambda: cut(x264(".mkv"))),
    bad(
        34,
        "Matroska cut between two clusters, with audio",
        PARTIAL,
        ".mkv",
        lambda: files.cut_before(x264(".mkv", *SHORT_CLUSTERS, sound_s=8), CLUSTER),
    ),
    bad(
        34,
        "Matroska without lengths, cut",
        PARTIAL,
        ".mkv",
        lambda: cut(x264(".mkv", "-live", "1")),
    ),
    bad(34, "WebM cut", PARTIAL, ".webm", lambda: cut(seed(".webm", *VP8))),
    bad(34, "AVI cut", PARTIAL, ".avi", lambda: cut(seed(".avi", "-c:v", "mpeg4"))),
    bad(34, "FLV cut", PARTIAL, ".flv", lambda: cut(x264(".flv"))),
    bad(34, "FLV cut between two tags", PARTIAL, ".flv", lambda: files.cut_flv(x264(".flv"))),
    # Nothing in the file tells that there was more.
    good(
        33,
        "MPEG-TS cut between two packets (undetectable)",
        19,
        ".ts",
        lambda: x264(".ts", film="testsrc2=s=128x96:r=10:d=30")[: 188 * 2000],
    ),
    good(
        33,
        "MPEG program stream cut (undetectable)",
        5,
        ".mpg",
        lambda: cut(seed(".mpg", "-c:v", "mpeg2video", "-r", "25")),
    ),
]

DAMAGED = [
    bad(
        35,
        "200 bits of the frames flipped",
        DECODE,
        ".mp4",
        lambda: files.flip_box(x264(".mp4"), "mdat", 200),
    ),
    bad(
        35,
        "Matroska that lost two seconds of its middle",
        DECODE,
        ".mkv",
        lambda: files.lose_clusters(x264(".mkv", *SHORT_CLUSTERS), 5, 9),
    ),
    bad(
        36,
        "200 bits of the index flipped",
        DECODE,
        ".mp4",
        lambda: files.flip_box(x264(".mp4"), "moov", 200),
    ),
    bad(37, "frames of zeros", DECODE, ".mp4", lambda: files.zero_box(x264(".mp4"), "mdat")),
    bad(49, "2,000 streams", RESOURCE, ".mp4", lambda: files.many_streams(2000)),
    bad(
        49,
        "a million missing samples",
        DECODE,
        ".mp4",
        lambda: files.many_samples(1_000_000, are_there=True),
    ),
    bad(
        49,
        "four billion declared samples",
        DECODE,
        ".mp4",
        lambda: files.many_samples(0xFFFFFFFF, are_there=False),
    ),
    bad(49, "frames that claim 2 GB", PARTIAL, ".mp4", lambda: files.giant_box("mdat", 0x7FFFFFFF)),
    good(49, "an index that claims 2 GB", 8, ".mp4", lambda: files.giant_box("moov", 0x7FFFFFFF)),
    bad(49, "20,000 nested boxes", DECODE, ".mp4", lambda: files.nested_boxes(20_000)),
    bad(50, "encrypted (cenc)", DECODE, ".mp4", lambda: remux(x264(".mp4"), ".mp4", *CENC)),
]

NO_FILM = [
    bad(38, "audio only, MP4", NO_VIDEO, ".mp4", lambda: files.sound(".m4a")),
    bad(38, "audio only, Matroska", NO_VIDEO, ".mkv", lambda: files.sound(".mka")),
    bad(39, "audio with a cover image", NO_VIDEO, ".m4a", files.with_cover),
    bad(
        41,
        "8,192 x 8,192 pixels",
        DIMENSIONS,
        ".mp4",
        lambda: film("color=red:s=8192x8192:r=1:d=1"),
    ),
    bad(41, "VP8 that claims 16,383 x 16,383 pixels", DIMENSIONS, ".webm", files.giant_vp8),
    bad(
        41,
        "grows to 4,096 x 4,096 pixels",
        DIMENSIONS,
        ".ts",
        lambda: files.then(x264(".ts"), "color=red:s=4096x4096:r=1:d=1"),
    ),
    bad(
        43,
        "3 hours",
        TOO_LONG,
        ".mkv",
        lambda: x264(".mkv", film="color=red:s=64x64:r=1/20:d=10800"),
    ),
    bad(
        43,
        "3 hours in a container without a length",
        TOO_LONG,
        ".ts",
        lambda: x264(".ts", film="color=red:s=64x64:r=1/5:d=10800"),
    ),
    bad(51, "motion JPEG", FORMAT, ".avi", lambda: seed(".avi", "-c:v", "mjpeg")),
    bad(
        51,
        "raw video",
        FORMAT,
        ".avi",
        lambda: seed(".avi", "-c:v", "rawvideo", "-pix_fmt", "yuv420p"),
    ),
    bad(51, "FFV1, with audio", FORMAT, ".mkv", lambda: seed(".mkv", "-c:v", "ffv1", sound_s=8)),
    bad(51, "PNG video", FORMAT, ".mov", lambda: seed(".mov", "-c:v", "png")),
]

GOOD_PICTURES = [
    good(42, "2 x 2 pixels", 8, ".mp4", lambda: film("color=red:s=2x2:r=10:d=8")),
    good(
        42,
        "1 pixel",
        8,
        ".webm",
        lambda: seed(".webm", *VP9, "-vf", "format=yuv444p,crop=1:1", "-s", "1x1"),
    ),
    good(
        42,
        "odd sizes",
        8,
        ".mkv",
        lambda: seed(".mkv", *X264_444, film="testsrc2=s=127x95:r=10:d=8"),
    ),
    good(
        42,
        "rotated",
        8,
        ".mp4",
        lambda: remux(x264(".mp4"), ".mp4", before=("-display_rotation", "90")),
    ),
    good(42, "anamorphic", 8, ".mp4", lambda: x264(".mp4", "-aspect", "16:9")),
    good(52, "black", 8, ".mp4", lambda: film("color=black:s=64x64:r=10:d=8")),
    good(52, "one colour", 8, ".mp4", lambda: film("color=blue:s=64x64:r=10:d=8")),
    good(53, "HDR of 10 bits", 8, ".mkv", lambda: seed(".mkv", *HDR)),
    good(53, "4:4:4", 8, ".mp4", lambda: seed(".mp4", *X264_444)),
    good(
        53,
        "interlaced",
        8,
        ".mp4",
        lambda: x264(".mp4", "-flags", "+ilme+ildct", "-x264-params", "tff=1"),
    ),
    good(
        53,
        "alpha",
        8,
        ".webm",
        lambda: seed(".webm", *VP8, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    ),
    good(0, "AV1", 8, ".mp4", lambda: seed(".mp4", *AV1, film="testsrc2=s=64x64:r=10:d=8")),
    good(0, "VP9", 8, ".webm", lambda: seed(".webm", *VP9)),
    good(
        0,
        "MPEG-1 in a program stream, with audio",
        8,
        ".mpg",
        lambda: seed(".mpg", "-c:v", "mpeg1video", "-r", "25", sound_s=8),
    ),
    good(
        0,
        "Sorenson H.263 in FLV, with audio",
        8,
        ".flv",
        lambda: seed(".flv", "-c:v", "flv1", "-ar", "44100", sound_s=8),
    ),
]

GOOD_TIMES = [
    good(43, "1,000 frames a second", 2, ".mp4", lambda: film("color=red:s=64x64:r=1000:d=2")),
    good(43, "variable rate", 12, ".mkv", lambda: x264(".mkv", *GAP)),
    good(43, "one frame", 1, ".mp4", lambda: x264(".mp4", "-frames:v", "1")),
    good(43, "0.1 s", 1, ".mp4", lambda: film("testsrc2=s=64x64:r=30:d=0.1")),
    good(43, "one frame shown for 8 s", 8, ".mp4", lambda: film("testsrc2=s=64x64:r=1/8:d=8")),
    good(
        44,
        "frame size changes in the middle",
        16,
        ".ts",
        lambda: files.then(x264(".ts"), "testsrc2=s=192x160:r=10:d=8"),
    ),
    good(
        45,
        "timestamps from 100,000 s on, MP4",
        8,
        ".mp4",
        lambda: remux(x264(".mp4"), ".mp4", *AT_100_000_S),
    ),
    good(
        45,
        "timestamps from 100,000 s on, Matroska",
        8,
        ".mkv",
        lambda: remux(x264(".mkv"), ".mkv", *AT_100_000_S),
    ),
    good(
        45,
        "timestamps from 100,000 s on, MPEG-TS",
        8,
        ".ts",
        lambda: remux(x264(".ts"), ".ts", *AT_100_000_S),
    ),
    good(
        45,
        "timestamps before zero, removed by an edit list",
        5,
        ".mp4",
        lambda: remux(x264(".mkv"), ".mp4", "-output_ts_offset", "-3", *KEEP_NEGATIVE),
    ),
    good(
        45, "timestamps that jump back", 8, ".mkv", lambda: remux(x264(".mkv"), ".mkv", *JUMP_BACK)
    ),
    good(
        45,
        "timestamps that jump by 1,000 s",
        16,
        ".ts",
        lambda: x264(".ts") + remux(x264(".ts"), ".ts", "-output_ts_offset", "1000"),
    ),
    good(0, "longer audio, MP4", 8, ".mp4", lambda: x264(".mp4", sound_s=20)),
    good(0, "longer audio, Matroska", 8, ".mkv", lambda: x264(".mkv", sound_s=20)),
    good(0, "longer audio, FLV", 8, ".flv", lambda: x264(".flv", "-ar", "44100", sound_s=20)),
    good(0, "video that begins after the audio", 8, ".mkv", files.late_pictures),
    good(
        0,
        "an edit list that skips the first half",
        4,
        ".mp4",
        lambda: remux(x264(".mp4", "-g", "200"), ".mp4", before=("-ss", "4.05")),
    ),
    good(
        0,
        "open groups of pictures",
        8,
        ".mp4",
        lambda: x264(".mp4", "-bf", "2", "-g", "10", "-x264-params", "open-gop=1"),
    ),
    good(0, "one damaged frame in 30 s", 30, ".mp4", files.damaged_frame),
]

TITLES = {
    "a command": "$(touch x) `id` ; rm -rf /",
    "a query operator": '{"$where": 1}',
    "forged log lines": FORGED,
    "terminal escape sequences": "\x1b[2J\x1b]0;x\x07",
    "right-to-left marks": "\u202eslaidem\u202c \u05d0\u05d1",
    "line separators": "a\u2028[error] b\x85[error] c",
    "1 MB": "x" * 1_000_000,
}
GOOD_TITLES = [
    good(54, f"title: {what}, {suffix}", 8, suffix, partial(files.titled, suffix, title))
    for what, title in TITLES.items()
    for suffix in (".mp4", ".mkv")
]

CASES: list[DecodeCase] = [
    *NO_CONTAINERS,
    *CUT,
    *DAMAGED,
    *NO_FILM,
    *GOOD_PICTURES,
    *GOOD_TIMES,
    *GOOD_TITLES,
]
"""Every kind of file."""
