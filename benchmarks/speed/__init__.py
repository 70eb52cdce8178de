"""How fast the project is: `python -m speed` from the benchmarks directory."""
