"""Features and splits that others published, as tables of a run."""
