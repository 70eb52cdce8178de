"""Our models beside those of the paper of Trailers12k: `python -m reproduce` from benchmarks."""
