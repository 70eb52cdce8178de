"""The features of a run as documents in MongoDB: a copy to query; the tables are the truth.

    address     a connection string -> a database that answers
    source      a run -> the links that are published
    shapes      one link -> its documents
    contract    one collection -> the features that it holds, and no others
    bulk        documents -> one collection, through a server that fails now and then
    publishing  links -> the collections
    comparing   what stands there against what should

A document's `_id` is made of our own ids alone, so publishing again replaces and never adds. Knows
nothing of Spark.
"""

from trailergenre.mongo.bulk_writes import PublishCounts
from trailergenre.mongo.collections import (
    Target,
    choose_target,
    find_breach,
    is_claimed,
    prepare_collections,
)
from trailergenre.mongo.connection import (
    Document,
    MongoAddress,
    open_database,
    parse_address,
    read_address,
)
from trailergenre.mongo.documents import Shape
from trailergenre.mongo.published_links import (
    Publishable,
    PublishedLink,
    read_links,
    read_publishable,
)
from trailergenre.mongo.publishing import Published, publish_links, withdraw_links

__all__ = [
    "Document",
    "MongoAddress",
    "PublishCounts",
    "Publishable",
    "Published",
    "PublishedLink",
    "Shape",
    "Target",
    "choose_target",
    "find_breach",
    "is_claimed",
    "open_database",
    "parse_address",
    "prepare_collections",
    "publish_links",
    "read_address",
    "read_links",
    "read_publishable",
    "withdraw_links",
]
