"""Runs of many links as a real one leaves them: links, and where wanted their outcomes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from trailergenre.base.config import ChunksConfig
from trailergenre.base.storage import Store
from trailergenre.features.settings import links_per_commit
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.fingerprint import FeatureSettings, write_settings

SETTINGS = FeatureSettings("rule", 1.0, 299, 7, "b" * 64, "fp32")
LINKS_A_FILE = links_per_commit(ChunksConfig())
"""A full commit's."""

_VERSIONS = '{"ffmpeg": "7.0.2", "onnxruntime": "1.23.2", "trailergenre": "0.6.0"}'


def link_id(number: int) -> str:
    """The id of one of them."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def make_links(store: Store, n_links: int) -> None:
    """Write the table `links` of a run."""
    rows = [
        {
            "row": number + 1,
            "link_id": link_id(number),
            "url": f"https://www.youtube.com/watch?v={link_id(number)[:11]}",
            "title": f"The Title of Movie {number}",
            "movie_id": f"tt{number:07}",
            "genres": ["Comedy", "Drama"],
            "row_outcome": "ready",
            "detail": "",
            "other": "{}",
        }
        for number in range(n_links)
    ]
    tables.write_table(store, "links", pa.Table.from_pylist(rows, schemas.LINKS))


def make_outcomes(store: Store, n_links: int) -> None:
    """Write an outcome for every link, in as many files as a run does; features files are empty."""
    write_settings(store, SETTINGS)
    for start in range(0, n_links, LINKS_A_FILE):
        numbers = range(start, min(n_links, start + LINKS_A_FILE))
        table = pa.Table.from_pylist([_row(number, start) for number in numbers], schemas.OUTCOMES)
        store.write_bytes(table["features_file"][0].as_py(), b"")  # its absence would be noticed
        outcomes_table.write_outcomes(store, SETTINGS.fingerprint, table)


def _row(number: int, chunk: int) -> dict[str, object]:
    name = link_id(1_000_000_000 + chunk)
    return {
        "link_id": link_id(number),
        "outcome": "ok",
        "detail": "",
        "attempts": 1,
        "round": 0,
        "download_s": 2.5 + number % 7,
        "decode_s": 3.1,
        "embed_s": 8.4,
        "size_bytes": 5_000_000 + number,
        "duration_s": 150.0,
        "width_px": 640,
        "height_px": 360,
        "frames": 150,
        "decode_errors": 0,
        "connections": ["142.250.74.110:443", "172.217.21.174:443"],
        "engine": "onnxruntime",
        "device": "cpu",
        "versions": _VERSIONS,
        "sandbox": "full",
        "commit": name,
        "features_file": f"features/{SETTINGS.fingerprint}/{name}.parquet",
        "features_rows": 150 * LINKS_A_FILE,
        "features_bytes": 150 * LINKS_A_FILE * 8192,
        "features_sha256": name,
        "finished_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
    }
