"""Temporal heads: a link's frames, in order, to its genres.

`training` fits a head with Keras; a fitted `head.TemporalHead` needs ONNX Runtime only.
"""
