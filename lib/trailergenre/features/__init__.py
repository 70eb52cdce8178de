"""Frames to features, committed in chunks."""
