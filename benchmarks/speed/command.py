"""One command of `trailergenre` in this process: what its driver takes, as JSON.

python -m speed.command status RUN
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import typer

from trailergenre.cli.commands import app


def main() -> None:
    """Run the command; JVM and workers are other processes and do not count."""
    started = time.monotonic()
    code = typer.main.get_command(app).main(sys.argv[1:], standalone_mode=False)
    peak = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]
    figures = {
        "code": code or 0,
        "wall_s": round(time.monotonic() - started, 1),
        "cpu_s": round(time.process_time(), 1),
        "peak_gb": round(1024 * int(peak) / 1e9, 2),
    }
    print("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
