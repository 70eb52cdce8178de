"""A list over hosts that throttle, hang, forge and flood: 12 links, and 204 in the soak."""

from __future__ import annotations

import threading
import time
from itertools import repeat
from pathlib import Path

import pytest

from clips import make_clip
from killed import Driver, features_hash
from lists import write_links
from servers import Answer, answer, chunks, content, drips, hangs, page, raw, redirect, status
from servers.manifests import hls, videos
from submits import arguments
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table
from trailergenre.runs.fingerprint import choose_fingerprint

pytestmark = pytest.mark.slow

SLOTS = 2
DEADLINE_S, REST_S, BETWEEN_S = 6, 3, 0.5
START_S = 30
"""Of Spark's workers and their networks."""

# An EBML header whose DocType has a line break and a message of ffmpeg's.
FORGED = bytes.fromhex(
    "1a45dfa3c44286810142f7810142f2810442f381084282a96d6174726f736b610a"
    "5b666174616c5d20556e7265636f676e697a6564206f7074696f6e202778270a4287810442858102"
)


@pytest.mark.parametrize("n_each", [1, pytest.param(17, marks=pytest.mark.soak)])
def test_hostile_hosts_cost_bounded_time_and_none_of_the_others_links(
    n_each: int, tiny_backbone: Path, driver: Driver, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=64x64:r=8:d=1").read_bytes()
    store = Store(str(tmp_path / "run"))
    release = threading.Event()
    with answer({"/n/*": content(b"\0" * 188)}) as server:
        port = server.server_address[1]
        # By kind: the host, which is another name of the same server, its answer and the outcome.
        kinds: dict[str, tuple[str, Answer, Outcome]] = {
            "good": ("127.0.0.1", content(clip), Outcome.OK),
            "day": ("127.1", status(429, Retry_After="86400"), Outcome.DEFERRED),
            "rests": ("127.0.1", status(429, Retry_After="1"), Outcome.DEFERRED),
            "overloaded": ("0177.1", status(503, Retry_After="9" * 400), Outcome.DEFERRED),
            "leads": ("127.0.0.1", redirect(f"http://0x7f.1:{port}/paced"), Outcome.DEFERRED),
            "hangs": ("0x7f.0.1", hangs(release), Outcome.TIMEOUT),
            "drips": ("0x7f.0.1", drips(release), Outcome.TIMEOUT),
            "no-http": ("2130706433", raw(b"SSH-2.0-x\r\n" * 3), Outcome.TRUNCATED_DOWNLOAD),
            "forged": ("2130706433", content(FORGED), Outcome.NOT_MEDIA),
            "segments": (
                "0177.0.1",
                hls([f"/n/{n}" for n in range(9000)], seconds=0.01),
                Outcome.RESOURCE,
            ),
            "page": ("0177.0.1", page("<p>x</p>" * 2_000_000), Outcome.RESOURCE),
            "endless": ("0177.0.1", videos(["/endless.mp4"]), Outcome.TOO_LARGE),
        }
        server.answers["/paced"] = status(429, Retry_After="86400")
        server.answers["/endless.mp4"] = chunks(repeat(b"\0" * 100_000))
        for kind, (_, reply, _) in kinds.items():
            server.answers[f"/{kind}/*"] = reply
        urls = [
            f"http://{host}:{port}/{kind}/{number}.mp4"
            for number in range(n_each)
            for kind, (host, _, _) in kinds.items()
        ]
        links = write_links(store, urls)
        settings = [f'network.allow=["{server.address}"]', f"backbone.path={tiny_backbone}"]
        settings += [f"limits.deadline_s={DEADLINE_S}", f"limits.max_rest_s={REST_S}"]
        settings += ["limits.max_requests=50", "limits.max_file_bytes=1000000"]
        settings += ["limits.attempts=1"]
        settings += [f'hosts."0x7f.1".seconds_between={BETWEEN_S}']
        began = time.monotonic()
        ended = driver.featurize(arguments(tmp_path / "run", *settings))
        took_s = time.monotonic() - began
        release.set()
    assert ended.code == 4, ended.output
    expected = {link.link_id: kinds[link.url.split("/")[3]][2] for link in links}
    rows = outcomes_table.read_outcomes(store, choose_fingerprint(store, None)).to_pylist()
    assert sorted(row["link_id"] for row in rows) == sorted(expected)
    wrong = [row for row in rows if row["outcome"] != expected[row["link_id"]]]
    assert wrong == []
    deferred = [row["detail"] for row in rows if row["outcome"] == Outcome.DEFERRED]
    assert len(deferred) == 4 * n_each
    assert all("HTTP Error 429" in detail or "HTTP Error 503" in detail for detail in deferred)
    n_throttling = len({host for host, _, outcome in kinds.values() if outcome is Outcome.DEFERRED})
    in_lane_s = n_each * (DEADLINE_S + BETWEEN_S)
    bound_s = len(links) * DEADLINE_S / SLOTS + in_lane_s + n_throttling * REST_S
    assert took_s < START_S + bound_s
    assert features_hash(store)  # all that verify checks holds
