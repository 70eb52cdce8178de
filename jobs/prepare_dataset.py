"""Entry point of spark-submit for `trailergenre prepare`."""

from trailergenre.cli.entry import as_job
from trailergenre.cli.stage_commands import prepare

app = as_job(prepare)

if __name__ == "__main__":
    app()
