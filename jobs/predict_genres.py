"""Entry point of spark-submit for `trailergenre predict`."""

from trailergenre.cli.entry import as_job
from trailergenre.cli.stage_commands import predict

app = as_job(predict)

if __name__ == "__main__":
    app()
