"""Truth and probabilities to figures."""
