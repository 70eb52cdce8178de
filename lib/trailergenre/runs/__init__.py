"""A run's directory: its tables, how they are committed, what they depend on, and their checks."""
