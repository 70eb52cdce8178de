"""A fitted model, with everything that turns a link's frames into its probabilities.

Trainers return it and bundles hold it; it is small enough to send to every worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from trailergenre.base.config import RowsConfig
from trailergenre.base.records import LinkFrames, ModelKind, ProbabilityArray, RowKind
from trailergenre.base.storage import Store
from trailergenre.models.calibration import Calibration
from trailergenre.models.estimators import forest, logistic
from trailergenre.models.estimators.forest import Forest
from trailergenre.models.estimators.logistic import Logistic
from trailergenre.models.pooled_table import iter_pooled, pooled_key
from trailergenre.models.pooling import RowArray, iter_links, link_rows, n_columns, select_span
from trailergenre.models.temporal import head
from trailergenre.models.temporal.head import TemporalHead
from trailergenre.runs.tables import LinkIds

Model = Forest | Logistic | TemporalHead


@dataclass(frozen=True)
class Scorer:
    """A model, its input rows and its calibration; without one, probabilities are the model's."""

    model: Model
    kind: RowKind  # a temporal head takes the frames as a sequence
    rows: RowsConfig
    calibration: Calibration | None = None

    def predict_proba(self, links: Sequence[LinkFrames]) -> ProbabilityArray:
        """Predict the genre probabilities of links, shape (n_links, n_genres), float64, 0..1.

        They are means over each link's rows; every link needs a frame.
        """
        return self._calibrate(self._predict_raw(links))

    @property
    def pooled(self) -> RowsConfig | None:
        """How frames are pooled, if pooled rows are all that the model sees; else None."""
        return self.rows if self.kind == "pooled" else None

    def predict_pooled(self, rows: RowArray) -> ProbabilityArray:
        """As `predict_proba`, of links given by their pooled rows."""
        assert not isinstance(self.model, TemporalHead)
        return self._calibrate(self.model.predict_proba(rows))

    def _calibrate(self, raw: ProbabilityArray) -> ProbabilityArray:
        return raw if self.calibration is None else self.calibration.apply(raw)

    def _predict_raw(self, links: Sequence[LinkFrames]) -> ProbabilityArray:
        if not links:
            return np.empty((0, self.model.n_genres))
        if isinstance(self.model, TemporalHead):
            return self.model.predict_proba(
                [select_span(link, self.rows.span).features for link in links]
            )
        rows = [link_rows(link, self.kind, self.rows) for link in links]
        counts = np.array([len(each) for each in rows])
        probabilities = self.model.predict_proba(np.concatenate(rows))
        starts = np.cumsum(counts) - counts
        means: ProbabilityArray = np.add.reduceat(probabilities, starts) / counts[:, None]
        return means

    def fits(self, *, width: int, n_genres: int) -> bool:
        """Whether the model takes features of this width and predicts this many genres."""
        is_temporal = isinstance(self.model, TemporalHead)
        expected = width if is_temporal else n_columns(width, self.kind, self.rows)
        return (self.model.n_features, self.model.n_genres) == (expected, n_genres)


@dataclass(frozen=True)
class ScorerGroup:
    """Models of the same genres that score links in one reading of their features."""

    scorers: tuple[Scorer, ...]

    def predict_proba(self, links: Sequence[LinkFrames]) -> ProbabilityArray:
        """Each link's probabilities by each model, shape (n_links, n_models x n_genres)."""
        return np.concatenate([scorer.predict_proba(links) for scorer in self.scorers], axis=1)

    @property
    def pooled(self) -> RowsConfig | None:
        """How frames are pooled, if all models see the same pooled rows; else None."""
        configs = [scorer.pooled for scorer in self.scorers]
        keys = {config and pooled_key(config) for config in configs}
        return configs[0] if len(keys) == 1 else None

    def predict_pooled(self, rows: RowArray) -> ProbabilityArray:
        """As `predict_proba`, of links given by their pooled rows."""
        return np.concatenate([scorer.predict_pooled(rows) for scorer in self.scorers], axis=1)


def score_links(
    store: Store,
    outcomes: pa.Table,
    scorer: Scorer | ScorerGroup,
    link_ids: LinkIds | None = None,
) -> Iterator[tuple[list[str], ProbabilityArray]]:
    """Read links and score them, features file by features file; None reads all links."""
    if scorer.pooled is not None:
        for ids, rows in iter_pooled(store, outcomes, scorer.pooled, link_ids):
            yield ids, scorer.predict_pooled(rows)
        return
    for links in iter_links(store, outcomes, link_ids):
        yield [link.link_id for link in links], scorer.predict_proba(links)


class ModelFile(NamedTuple):
    """How a kind of model is stored in a bundle; `from_bytes` raises BundleError."""

    name: str
    to_bytes: Callable[..., bytes]  # takes the kind's own model
    from_bytes: Callable[[bytes], Model]


MODEL_FILES: dict[ModelKind, ModelFile] = {
    "forest": ModelFile("forest.safetensors", forest.to_bytes, forest.from_bytes),
    "logistic": ModelFile("logistic.safetensors", logistic.to_bytes, logistic.from_bytes),
    "temporal": ModelFile("temporal.onnx", head.to_bytes, head.from_bytes),
}
