"""A fitted model with all that turns the frames of a link into its probabilities.

What a trainer hands back and what a bundle holds; small enough to travel to every worker. Knows
nothing of files, genre names or Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trailergenre.base.config import RowsConfig
from trailergenre.base.records import LinkFrames, ProbabilityArray
from trailergenre.models import temporal
from trailergenre.models.calibration import Calibration
from trailergenre.models.estimators import forest, logistic
from trailergenre.models.estimators.forest import Forest
from trailergenre.models.estimators.logistic import Logistic
from trailergenre.models.pooling import RowKind, link_rows, n_columns, select_span
from trailergenre.models.temporal import TemporalHead

ModelKind = Literal["forest", "logistic", "temporal"]
Model = Forest | Logistic | TemporalHead


@dataclass(frozen=True)
class Scorer:
    """A model, the rows it sees, and what bends its probabilities.

    Attributes:
        model: the model.
        kind: what one row is; a temporal model takes the frames as a sequence.
        rows: how they are made.
        calibration: None: probabilities stay as the model gives them.
    """

    model: Model
    kind: RowKind
    rows: RowsConfig
    calibration: Calibration | None = None

    def predict_proba(self, links: Sequence[LinkFrames]) -> ProbabilityArray:
        """Give the genre probabilities of links.

        Args:
            links: their frames; each has one at least.

        Returns:
            shape (n_links, n_genres), float64, 0..1; of several rows a link the mean.
        """
        raw = self._raw(links)
        return raw if self.calibration is None else self.calibration.apply(raw)

    def _raw(self, links: Sequence[LinkFrames]) -> ProbabilityArray:
        if not links:
            return np.empty((0, self.model.n_genres))
        if isinstance(self.model, TemporalHead):
            return self.model.predict_proba(
                [select_span(link, self.rows.span).features for link in links]
            )
        parts = [link_rows(link, self.kind, self.rows) for link in links]
        counts = np.array([len(part) for part in parts])
        probabilities = self.model.predict_proba(np.concatenate(parts))
        starts = np.cumsum(counts) - counts
        means: ProbabilityArray = np.add.reduceat(probabilities, starts) / counts[:, None]
        return means

    def fits(self, *, width: int, n_genres: int) -> bool:
        """Whether the model takes features of this width and gives this many genres."""
        is_sequence = isinstance(self.model, TemporalHead)
        expected = width if is_sequence else n_columns(width, self.kind, self.rows)
        return (self.model.n_features, self.model.n_genres) == (expected, n_genres)


@dataclass(frozen=True)
class ScorerGroup:
    """Several models that score the same links in one reading of their features.

    Attributes:
        scorers: the models, of the same genres.
    """

    scorers: tuple[Scorer, ...]

    def predict_proba(self, links: Sequence[LinkFrames]) -> ProbabilityArray:
        """Give each link's probabilities by each model, shape (n_links, n_models x n_genres)."""
        return np.concatenate([scorer.predict_proba(links) for scorer in self.scorers], axis=1)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """How a kind of model is kept.

    Attributes:
        name: of its file in a bundle.
        to_bytes: writes it.
        from_bytes: reads and checks it; raises BundleError.
    """

    name: str
    to_bytes: Callable[..., bytes]  # each kind takes its own model
    from_bytes: Callable[[bytes], Model]


MODEL_FILES: dict[ModelKind, ModelFile] = {
    "forest": ModelFile("forest.safetensors", forest.to_bytes, forest.from_bytes),
    "logistic": ModelFile("logistic.safetensors", logistic.to_bytes, logistic.from_bytes),
    "temporal": ModelFile("temporal.onnx", temporal.to_bytes, temporal.from_bytes),
}
