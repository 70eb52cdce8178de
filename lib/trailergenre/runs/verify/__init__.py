"""Do all tables of a run add up? One module per kind of invariant."""
