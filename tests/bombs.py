"""Files that would unpack to gigabytes, read in a process whose memory is measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MAX_MB = 1500

READ = r"""
import re, resource, sys
from pathlib import Path
from trailergenre.base.errors import RunError
from trailergenre.links.external.split import read_split
from trailergenre.base.storage import Store
from trailergenre.links.input_lists import read_input
from trailergenre.models.bundle import read_bundle

# So that a bomb that goes off takes neither the machine nor a minute.
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
path = Path(sys.argv[2])
try:
    if sys.argv[1] == "list":
        read_input(path)
    elif sys.argv[1] == "split":
        read_split(path)
    else:
        read_bundle(Store(str(path))).check_split()
    print("read")
except RunError as error:
    print(error)
except MemoryError:
    print("out of memory")
# Not ru_maxrss of this process, which begins with that of the one that started it.
(own,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
print(max(int(own), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024)
"""

MEGABYTE = "a" * 1_000_000


def parquet(table: pa.Table, **options: bool) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", **options)
    return bytes(sink.getvalue().to_pybytes())


def repeated(value: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n), [value])


def assert_is_refused(kind: str, path: Path, reason: str) -> None:
    """A list, a split or a bundle is refused by this reason, and little memory was used."""
    done = subprocess.run(
        [sys.executable, "-c", READ, kind, path], capture_output=True, text=True, check=True
    )
    message, peak_mb = done.stdout.splitlines()
    assert re.search(reason, message), message
    assert int(peak_mb) < MAX_MB
