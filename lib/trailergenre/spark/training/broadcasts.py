"""Objects with large arrays sent to the workers once."""

from __future__ import annotations

from typing import TypeVar, cast

from pyspark import Broadcast, SparkContext
from pyspark.serializers import CPickleSerializer

T = TypeVar("T")


class InBand:
    """Pickles an object as bytes, and is loaded as the object.

    Where Spark encrypts what it writes, it cannot pickle a large array by itself: pickle hands such
    an array to its stream as a buffer, and Spark's stream takes bytes only.
    """

    def __init__(self, value: object) -> None:
        """Keep the object."""
        self._value = value

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all of it in one piece, as Spark does."""
        spark = CPickleSerializer()
        return spark.loads, (spark.dumps(self._value),)  # type: ignore[no-untyped-call]


def broadcast(context: SparkContext, value: T) -> Broadcast[T]:
    """Send an object to the workers, which find it in `.value`."""
    return cast("Broadcast[T]", context.broadcast(InBand(value)))
