"""Checks that every model makes of its file and of its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from trailergenre.base.errors import BundleError


@contextmanager
def check_file(kind: str) -> Iterator[None]:
    """Raise what fails while a model's file is read as a BundleError."""
    try:
        yield
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = f"The model's file is not a {kind}: {error}."
        raise BundleError(f"{reason} Train the bundle again.") from error


def check_input(X: NDArray[np.float32], n_features: int) -> None:
    """Raise a ValueError unless X is finite float32 of shape (n, n_features)."""
    if X.ndim != 2 or X.shape[1] != n_features or X.dtype != np.float32:
        raise ValueError(f"Expected float32 (n, {n_features}). Received: {X.dtype} {X.shape}.")
    if not np.isfinite(X).all():
        raise ValueError("The input has values that are not finite.")
