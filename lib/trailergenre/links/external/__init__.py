"""Features and splits that others published, in their own file formats."""
