"""Features files as outcomes name them."""

from __future__ import annotations

import pyarrow as pa

from trailergenre.runs.features_table import group_by_file
from trailergenre.runs.schemas import OUTCOMES


def test_links_of_a_file_come_in_the_order_of_the_outcomes() -> None:
    pieces = [
        pa.table(
            {
                "link_id": [f"{piece}-{row}" for row in range(2_000)],
                "outcome": ["ok", "timeout"] * 1_000,
                "commit": ["c"] * 2_000,
                "features_file": ["a", "b", "b", "b"] * 500,
                "features_rows": [9] * 2_000,
                "features_bytes": [90] * 2_000,
                "features_sha256": ["s"] * 2_000,
            }
        )
        for piece in range(40)
    ]
    outcomes = pa.concat_tables(pieces)
    files, rows = group_by_file(outcomes), outcomes.to_pylist()
    assert files["features_file"].to_pylist() == ["a", "b"]
    for path, links in zip("ab", files["link_id_list"].to_pylist(), strict=True):
        named = [r["link_id"] for r in rows if (r["features_file"], r["outcome"]) == (path, "ok")]
        assert links == named
    texts = ("commit", "features_file", "features_sha256")
    assert [files.schema.field(name).type for name in texts] == [
        OUTCOMES.field(name).type for name in texts
    ]
