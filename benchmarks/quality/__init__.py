"""How good the models are on published data: `python -m quality` from the benchmarks directory."""
