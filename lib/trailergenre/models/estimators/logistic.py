"""Logistic regressions as plain arrays: all trainers export them; scoring needs numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from trailergenre.base.config import LogisticConfig
from trailergenre.base.errors import BundleError
from trailergenre.base.records import ProbabilityArray
from trailergenre.models.estimators.checks import check_file, check_input
from trailergenre.models.estimators.rank_scaling import N_LEVELS, Scaling, fit_scaling

_BLOCK_ROWS = 4096

TOLERANCE = 1e-6
"""Gradient of the mean loss at which scikit-learn stops. At its default of 1e-4, a coefficient may
be off by about that times C times the rows: .004 for 1,400 trailers."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A weighted sum of a row's scaled columns for each genre."""

    scaling: Scaling
    coefficients: NDArray[np.float64]  # (n_genres, n_features)
    intercepts: NDArray[np.float64]  # (n_genres,)

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return self.scaling.n_features

    @property
    def n_genres(self) -> int:
        """Columns of the predictions."""
        return len(self.intercepts)

    def predict_proba(self, X: NDArray[np.float32]) -> ProbabilityArray:
        """Predict the genre probabilities of rows, shape (n, n_genres).

        Raises:
            ValueError: X is not finite float32 of shape (n, n_features).
        """
        check_input(X, self.n_features)
        sums = np.empty((len(X), self.n_genres))
        for start in range(0, len(X), _BLOCK_ROWS):
            scaled = self.scaling.scale(X[start : start + _BLOCK_ROWS])
            sums[start : start + _BLOCK_ROWS] = scaled @ self.coefficients.T + self.intercepts
        # tanh does not overflow, as exp would.
        probabilities: ProbabilityArray = 0.5 * (1 + np.tanh(0.5 * sums))
        return probabilities


def constant_intercept(share: float, n_rows: int) -> float:
    """The intercept of a genre that every training row has, or none.

    The optimum is infinite; this is Laplace's rule of succession.

    >>> constant_intercept(1.0, 98) == -constant_intercept(0.0, 98)
    True
    """
    return float(np.log((share * n_rows + 1) / ((1 - share) * n_rows + 1)))


def fit_logistic(X: NDArray[np.float32], y: NDArray[np.int8], config: LogisticConfig) -> Logistic:
    """Fit one regression per genre (column of y, 0 or 1) with scikit-learn, all rows in memory.

    The rows of X are finite and in the order of the link ids: see `fit_scaling`. A value takes 4
    bytes, and 8 when scaled: 0.3 GB for 4,000 pooled rows of 6,144 columns.
    """
    from sklearn.linear_model import LogisticRegression

    scaling = fit_scaling(X)
    scaled = scaling.scale(X)
    coefficients = np.zeros((y.shape[1], X.shape[1]))
    intercepts = np.zeros(y.shape[1])
    for genre, truth in enumerate(y.T):
        share = float(truth.mean())
        if share in (0.0, 1.0):
            intercepts[genre] = constant_intercept(share, len(X))
            continue
        model = LogisticRegression(C=config.c, tol=TOLERANCE, max_iter=config.max_iterations)
        model.fit(scaled, truth)
        coefficients[genre], intercepts[genre] = model.coef_[0], model.intercept_[0]
    return Logistic(scaling, coefficients, intercepts)


def to_bytes(model: Logistic) -> bytes:
    """Serialize a regression as safetensors, which copies memory as it is: arrays in C order."""
    check_logistic(model)
    return save({name: np.asarray(array, order="C") for name, array in _arrays(model).items()})


def from_bytes(content: bytes) -> Logistic:
    """Read what `to_bytes` wrote, and check all but its checksum; raises BundleError."""
    with check_file("logistic regression"):
        arrays = load(content)
        model = Logistic(scaling=Scaling(arrays.pop("quantiles")), **arrays)
    check_logistic(model)
    return model


def check_logistic(model: Logistic) -> None:
    """Raise a BundleError unless the arrays are a logistic regression."""
    problem = _find_problem(model)
    if problem:
        raise BundleError(f"The logistic regression is broken: {problem}. Train the bundle again.")


def _arrays(model: Logistic) -> dict[str, NDArray[Any]]:
    return {
        "quantiles": model.scaling.quantiles,
        "coefficients": model.coefficients,
        "intercepts": model.intercepts,
    }


_DTYPES: dict[str, tuple[Any, int]] = {
    "quantiles": (np.float32, 2),
    "coefficients": (np.float64, 2),
    "intercepts": (np.float64, 1),
}
"""Data type and number of dimensions of each array."""


def _find_problem(model: Logistic) -> str | None:
    for name, array in _arrays(model).items():
        if (array.dtype, array.ndim) != _DTYPES[name]:
            return f"{name} is {array.dtype} with {array.ndim} dimensions"
        if not array.size:
            return f"{name} is empty"
        if not np.isfinite(array).all():
            return f"{name} has values that are not finite"
    quantiles = model.scaling.quantiles
    if quantiles.shape[1] != N_LEVELS:
        return f"it has {quantiles.shape[1]} quantiles per column instead of {N_LEVELS}"
    if (np.diff(quantiles, axis=1) < 0).any():
        return "a column's quantiles do not ascend"
    if model.coefficients.shape != (model.n_genres, model.n_features):
        expected = f"{model.n_genres} genres and {model.n_features} columns"
        return f"coefficients have the shape {model.coefficients.shape} for {expected}"
    return None
