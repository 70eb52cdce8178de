"""Lists of links and labels to clean tables."""
