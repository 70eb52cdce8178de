"""Entry point of spark-submit for `trailergenre publish`."""

from trailergenre.cli.entry import as_job
from trailergenre.cli.stage_commands import publish

app = as_job(publish)

if __name__ == "__main__":
    app()
