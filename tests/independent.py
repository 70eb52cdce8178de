"""The frames of a video by PyAV: its own demuxing, decoding and timestamps, no command line."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

SCALE = "299:299:flags=bicubic+accurate_rnd+full_chroma_int+bitexact"


def decode_independently(path: Path, n_frames: int) -> np.ndarray:
    """The picture shown at each full second after the first: (n_frames, 299, 299, 3), uint8."""
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = _choose(container)
        start = shown = None
        for picture in container.decode(stream):
            if picture.pts is None:
                continue
            time_s = picture.pts * picture.time_base
            start = time_s if start is None else start
            while shown is not None and len(frames) < min(n_frames, time_s - start):
                frames.append(_to_rgb(shown))
            shown = picture
        while shown is not None and len(frames) < n_frames:
            frames.append(_to_rgb(shown))
    return np.stack(frames)


def _choose(container: av.container.InputContainer) -> av.VideoStream:
    flags = av.stream.Disposition
    films = [s for s in container.streams.video if not s.disposition & flags.attached_pic]
    return max(films, key=lambda s: (bool(s.disposition & flags.default), s.width * s.height))


def _to_rgb(picture: av.VideoFrame) -> np.ndarray:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format.name,
        time_base=picture.time_base,
    )
    steps = [source, graph.add("scale", SCALE), graph.add("format", "rgb24")]
    graph.link_nodes(*steps, graph.add("buffersink")).configure()
    graph.push(picture)
    return np.rot90(graph.pull().to_ndarray(), picture.rotation // 90)


def assert_same_pictures(frames: np.ndarray, path: Path) -> None:
    """Fail unless PyAV shows the same source frames: a mean difference of at most 2 of 255."""
    others = decode_independently(path, len(frames))
    assert len(others) == len(frames)
    differences = np.abs(frames.astype(int) - others).mean(axis=(1, 2, 3))
    assert differences.max() <= 2, differences.round(1)
