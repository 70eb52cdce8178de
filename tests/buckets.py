"""An S3 server on loopback, which counts requests and may answer late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from trailergenre.base.storage import Store


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@dataclass
class Bucket:
    """An empty bucket.

    Attributes:
        environment: of processes that use it.
        requests: method and path of each, with its query.
        latency_s: how long the server waits before each answer.
    """

    environment: dict[str, str]
    requests: list[str] = field(default_factory=list)
    latency_s: float = 0.0

    def store(self, path: str) -> Store:
        """An address in the bucket."""
        return Store(f"s3://bucket/{path}")


@contextmanager
def serve_bucket() -> Iterator[Bucket]:
    """Serve a bucket; `environment` is set in this process, too."""
    app = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        mark = "?" if query else ""
        bucket.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{mark}{query}")
        time.sleep(bucket.latency_s)
        response: Iterable[bytes] = app(environ, start_response)
        return response

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=_Silent)
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "canary-9f2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
    }
    bucket = Bucket(environment)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        Store("s3://bucket?allow_bucket_creation=true")._fs.create_dir("bucket")
        bucket.requests.clear()
        yield bucket
    server.shutdown()
