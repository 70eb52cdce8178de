"""What work is written to: the directory for temporary files, and MongoDB."""

from __future__ import annotations

import os
import shutil

from trailergenre.base.config import Config
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.cli.doctor.finding import Finding, Verdict
from trailergenre.mongo.connection import open_database, read_address

_VIDEOS_AT_ONCE = 4
"""Of the largest size, for a task. It may hold eight, but nearly all trailers are a tenth of it."""


def check_disk(config: Config) -> Finding:
    """Write to where videos are worked on, and see how much room is there."""
    with scratch_directory() as directory:
        (directory / "probe").write_bytes(b"probe")
        free = shutil.disk_usage(directory).free
        place = directory.parents[1]
    largest = config.limits.max_file_bytes
    found = f"{_gigabytes(free)} free for temporary files ({place})"
    if free >= _VIDEOS_AT_ONCE * largest:
        return Finding(Verdict.OK, found)
    return Finding(
        Verdict.WARNING if free >= largest else Verdict.FAILED,
        f"{found}; a video may have {_gigabytes(largest)}, and a task works on several",
        "Make room, set TMPDIR to a directory that has it, or lower limits.max_file_bytes.",
    )


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"


def check_mongodb(config: Config) -> Finding:
    """Find the server, and see that it lets us in; only where an address is given."""
    mongo = config.mongo
    if mongo.uri_file is None and not os.environ.get(mongo.uri_variable):
        return Finding(Verdict.NOT_USED, f"neither {mongo.uri_variable} nor mongo.uri_file is set")
    address = read_address(mongo)
    with open_database(address, mongo) as database:
        # A ping is answered to anybody.
        n_collections = len(database.list_collection_names())
    return Finding(
        Verdict.OK,
        f"{address.hosts} lets us in; database {mongo.database} has {n_collections} collections",
    )
