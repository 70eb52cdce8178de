"""The tables of a run to the figures of its report."""
