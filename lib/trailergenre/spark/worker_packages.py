"""What the Python of every worker must have, looked up before a run begins.

Knows nothing of what the packages are for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from socket import gethostname

from pyspark.sql import SparkSession

from trailergenre.base.errors import ClusterError

NEEDED = {
    "trailergenre": "trailergenre",
    "deno": "deno",
    "ffmpeg": "ffmpeg-python",
    "idna": "idna",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "tenacity": "tenacity",
    "yt_dlp": "yt-dlp",
}
"""Module -> the package that brings it."""

ADVICE = (
    "Send dist/environment.tar.gz and dist/trailergenre.zip along, as conf/spark-standalone.conf "
    "does (make zip writes them), or install the package on every machine."
)
"""What to do about a worker that lacks one."""


def check_packages(spark: SparkSession, n_slots: int) -> None:
    """Refuse workers that lack a package; they would fail every link, or end in a traceback.

    Args:
        spark: the session; its slots are all free, so that one task lands on each.
        n_slots: tasks that run at the same time.

    Raises:
        ClusterError: naming each package, host and interpreter, and what to do.
    """
    found = spark.sparkContext.parallelize(range(n_slots), n_slots).map(_look_up()).collect()
    lacking = sorted({(place, module) for place, modules in found for module in modules})
    if lacking:
        packages = "; ".join(f"{NEEDED[module]} on {place}" for place, module in lacking)
        raise ClusterError(f"Workers lack Python packages: {packages}. {ADVICE}")


def _look_up() -> Callable[[int], tuple[str, list[str]]]:
    """A function of the modules that are missing where it is called, and of that place.

    It travels by value, since it is made here: a reference to this module would make the worker
    import what it may lack.
    """
    modules = tuple(NEEDED)

    def look_up(_: int) -> tuple[str, list[str]]:
        missing = [module for module in modules if find_spec(module) is None]
        return f"{gethostname()} ({sys.executable})", missing

    return look_up
