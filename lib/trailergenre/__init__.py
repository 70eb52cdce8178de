"""trailergenre: movie trailers to genres, on a laptop or on a Spark cluster."""

__version__ = "0.1.0"
