"""Truth and probabilities to metrics."""
