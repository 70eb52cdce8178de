"""Runs that stand before the featurisation: a table of links, as `prepare_dataset` leaves it."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from trailergenre.base.records import Link
from trailergenre.base.storage import Store
from trailergenre.links.canonical import link_id
from trailergenre.runs import schemas, tables


def as_links(urls: Iterable[str]) -> list[Link]:
    """Canonical links of urls that are canonical."""
    return [Link(link_id=link_id(url), url=url) for url in urls]


def write_links(store: Store, urls: Iterable[str]) -> list[Link]:
    """Write ready links as the table `links` of a run."""
    links = as_links(urls)
    rows = [
        {
            "row": number + 1,
            "link_id": link.link_id,
            "url": link.url,
            "title": f"Title {number}",
            "movie_id": None,
            "genres": [],  # there are no labels
            "row_outcome": "ready",
            "detail": "",
            "other": "{}",
        }
        for number, link in enumerate(links)
    ]
    tables.write_table(store, "links", pa.Table.from_pylist(rows, schema=schemas.LINKS))
    return links
