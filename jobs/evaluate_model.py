"""Entry point of spark-submit for `trailergenre evaluate`."""

from trailergenre.cli.entry import as_job
from trailergenre.cli.stage_commands import evaluate

app = as_job(evaluate)

if __name__ == "__main__":
    app()
