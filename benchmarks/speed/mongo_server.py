"""A MongoDB server on loopback in a process of its own, until its input ends: prints its address.

python -m speed.mongo_server DIRECTORY
"""

from __future__ import annotations

import sys

from secantus import SecantusDBServer


def main(directory: str) -> None:
    """Serve."""
    server = SecantusDBServer(port=0, storage_path=directory)
    server.start()
    print(server.uri, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
