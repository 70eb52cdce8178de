"""Figures to self-contained HTML pages."""
