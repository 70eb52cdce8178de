"""Entry point of spark-submit for `trailergenre featurize`."""

from trailergenre.cli.entry import as_job
from trailergenre.cli.stage_commands import featurize

app = as_job(featurize)

if __name__ == "__main__":
    app()
