"""What a model bundle says of itself: the schema of its manifest.json.

The checksums of the other files are added by `trailergenre.models.bundle`, which alone knows them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trailergenre.base.config import (
    DatasetConfig,
    ForestConfig,
    LogisticConfig,
    RowsConfig,
    TemporalConfig,
)
from trailergenre.models.calibration import Calibration

FORMAT: Literal["trailergenre-bundle-3"] = "trailergenre-bundle-3"

UNKNOWN_WEIGHTS = "unknown"
"""Origin of the network's weights where the artefact was not at hand in training."""

_Text = Annotated[str, Field(min_length=1)]
_Probability = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneFacts(_Section):
    """The network whose features the model was trained on."""

    backbone_id: _Text
    precision: _Text
    width: int = Field(gt=0)
    """Features a frame."""
    weights: _Text
    """Where its weights are from: imagenet, a path, or random(seed=...)."""


class SamplingFacts(_Section):
    """How frames were taken."""

    frames_per_s: float = Field(gt=0)
    frame_side_px: int = Field(gt=0)


class TrainingFacts(_Section):
    """What the model was trained on."""

    data_sha256: _Text
    """Over every link's features commit, genres and part."""
    shuffled_labels: bool
    """A control run: its labels were permuted, it must not know anything."""
    dataset: DatasetConfig
    movies: dict[str, int]
    """Part -> movies."""
    links: dict[str, int]
    """Part -> links."""
    genre_shares: tuple[_Probability, ...]
    """Share of the training part's links that have each genre: the prior, in genre order."""
    links_without_features: int
    links_without_modelled_genre: int
    links_without_part: int


class GenreFacts(_Section):
    """One genre on the test part."""

    movies: int
    ap: float | None
    """Average precision; None where no test movie has it."""


class TestFacts(_Section):
    """What the model reached on the movies that it was not fitted to."""

    movies: int
    measures: dict[str, dict[str, float | None]]
    """model, uncalibrated, prior and majority -> measure of `multilabel.Metrics` -> value."""
    genres: dict[str, GenreFacts]


class Trial(_Section):
    """One set of hyper-parameters that was tried."""

    parameters: dict[str, float]
    mean_ap: float
    """Mean over the inner folds of the training part."""
    spread: float
    """Standard deviation over them."""


class SearchFacts(_Section):
    """How the hyper-parameters were chosen."""

    seed: int
    folds: int
    trials: tuple[Trial, ...] = Field(min_length=1)
    """The best first: its parameters are the model's."""


class Manifest(_Section):
    """manifest.json, except the checksums."""

    format: Literal["trailergenre-bundle-3"] = FORMAT
    genres: tuple[_Text, ...] = Field(min_length=1)
    thresholds: tuple[_Probability, ...]
    """A movie is given genre k where its probability >= thresholds[k]."""
    not_modelled: dict[str, int]
    """Genre -> movies, of the genres with too few."""
    model: Literal["forest", "logistic", "temporal"]
    rows: Literal["pooled", "frames"]
    trainer: Literal["mllib", "sklearn", "keras"]
    rows_config: RowsConfig
    """How rows are made of a link's frames."""
    parameters: ForestConfig | LogisticConfig | TemporalConfig
    search: SearchFacts | None
    """None: the parameters are the configuration's."""
    calibration: Calibration
    backbone: BackboneFacts
    sampling: SamplingFacts
    training: TrainingFacts
    validation_mean_ap: float
    """mAP on the movies that calibration and thresholds were chosen on."""
    test: TestFacts
    versions: dict[str, str]
    created_at: datetime
