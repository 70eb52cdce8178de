"""A driver that runs jobs again and again in one JVM: a case then costs seconds.

One JSON request a line on stdin, one JSON answer a line on stdout. Started by `killed.Driver`.
"""

from __future__ import annotations

import json
import os
import sys

import typer

from submits import load_job
from trailergenre.base.fault_injection import VARIABLE


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        os.environ |= {VARIABLE: request["fault"], **request["environment"]}
        command = typer.main.get_command(load_job(request["job"]).app)
        # Not as a program of its own: the exit code comes back and does not end the process.
        code = command.main(request["arguments"], standalone_mode=False)
        print(json.dumps({"code": code}), file=answers, flush=True)


if __name__ == "__main__":
    main()
