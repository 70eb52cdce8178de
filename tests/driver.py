"""A driver that runs `featurize` again and again in one JVM: a case then costs seconds.

One JSON request a line on stdin, one JSON answer a line on stdout. Started by `killed.Driver`.
"""

from __future__ import annotations

import json
import os
import sys

import typer

from submits import load_job
from trailergenre.faults import VARIABLE


def main() -> None:
    job = load_job("featurize")
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        os.environ[VARIABLE] = request["fault"]
        try:
            typer.main.get_command(job.app)(request["arguments"], standalone_mode=False)
            code = 0
        except typer.Exit as ended:
            code = ended.exit_code
        print(json.dumps({"code": code}), file=answers, flush=True)


if __name__ == "__main__":
    main()
