"""Figures to self-contained pages, one module a page; knows nothing of Spark or stored tables."""
