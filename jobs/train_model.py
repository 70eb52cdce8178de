"""Entry point of spark-submit for `trailergenre train`."""

from trailergenre.cli.entry import as_job
from trailergenre.cli.stage_commands import train

app = as_job(train)

if __name__ == "__main__":
    app()
