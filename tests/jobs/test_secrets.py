"""What a run writes, prints and tells Spark, searched for what was secret."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lists import write_links
from submits import submit
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint

pytestmark = pytest.mark.slow

CANARY = "canary-9f2"
COOKIES = (
    "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tFALSE\t4000000000\tsession\t{}-cookie\n"
)


def test_neither_tables_nor_output_nor_the_event_log_hold_a_secret(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    run, events = tmp_path / "run", tmp_path / "events"
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(COOKIES)
    store = Store(str(run))
    write_links(store, ["https://www.youtube.com/watch?v=aqz-KE-bpKQ", "https://example.org/x.mp4"])
    settings = [
        f"backbone.path={tiny_backbone}",
        f"network.cookie_file={cookies}",
        "network.proxy_variable=MY_PROXY",
        "limits.attempts=1",
    ]
    ended = submit(
        "featurize",
        *(str(run), *(word for setting in settings for word in ("--set", setting))),
        conf=[
            "spark.eventLog.compress=false",
            # Also in the command line, which Spark logs as sun.java.command.
            f"spark.trailergenre.place=s3://key:{CANARY}@bucket/run",
            # conf/ turns it on, and the run makes the directory.
            f"spark.eventLog.dir={events.as_uri()}",
        ],
        # Nobody listens there: the reason of each link tells of the proxy.
        env={"MY_PROXY": f"http://me:{CANARY}@127.0.0.1:1"},
    )
    assert ended.code == 4, ended.output
    assert CANARY not in ended.output
    rows = tables.read_outcomes(store, choose_fingerprint(store, None)).to_pylist()
    assert [row["outcome"] for row in rows] == ["deferred"] * 2
    assert all("proxy" in row["detail"] for row in rows)
    written = [path for path in (*run.rglob("*"), *events.rglob("*")) if path.is_file()]
    logged = b"".join(path.read_bytes() for path in events.rglob("*") if path.is_file())
    assert b"SparkListenerTaskEnd" in logged
    assert b'"sun.java.command":"*********(redacted)"' in logged
    for path in written:
        # Parquet is compressed.
        text = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        assert CANARY not in text
        assert CANARY.encode() not in path.read_bytes()
