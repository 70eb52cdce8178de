"""The least that publishing costs: documents in memory, a bare pymongo loop; seconds as JSON.

python -m speed.mongo_loop RUN FINGERPRINT FEATURES_FILE URI DATABASE BATCH_SIZE

Says `ready` when the documents are made and the server has answered; starts when told.
"""

from __future__ import annotations

import json
import sys
import time

from pymongo import MongoClient, ReplaceOne, WriteConcern

from trailergenre.base.storage import Store
from trailergenre.mongo.documents import frame_documents
from trailergenre.mongo.published_links import plan_publishing, read_links


def main(run: str, fingerprint: str, file: str, uri: str, database: str, batch_size: int) -> None:
    """Replace or insert the documents of one features file."""
    store = Store(run)
    parts = plan_publishing(store, fingerprint).links_by_file()
    documents = [
        document
        for part in parts
        if part["features_file"][0].as_py() == file
        for link in read_links(store, part)
        for document in frame_documents(link, fingerprint)
    ]
    client: MongoClient[dict[str, object]] = MongoClient(uri)
    client.admin.command("ping")
    collection = client[database].get_collection(
        "frames", write_concern=WriteConcern(w="majority", j=True)
    )
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    for start in range(0, len(documents), batch_size):
        collection.bulk_write(
            [
                ReplaceOne({"_id": document["_id"]}, document, upsert=True)
                for document in documents[start : start + batch_size]
            ],
            ordered=False,
        )
    print(json.dumps({"documents": len(documents), "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:6], int(sys.argv[6]))  # type: ignore[misc]
