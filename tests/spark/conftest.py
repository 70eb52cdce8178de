"""What pyspark sends."""

from __future__ import annotations

import pytest
from pyspark.serializers import CloudPickleSerializer


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The functions that pyspark sends to the workers from now on, with all that they hold."""
    functions: list[bytes] = []
    dumps = CloudPickleSerializer.dumps

    def noted(self: CloudPickleSerializer, function: object) -> bytes:
        functions.append(dumps(self, function))
        return functions[-1]

    monkeypatch.setattr(CloudPickleSerializer, "dumps", noted)
    return functions
