"""The schema of a bundle's manifest.json, except for the checksums: `bundle` adds those."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from trailergenre.base.config import (
    DatasetConfig,
    ForestConfig,
    LogisticConfig,
    RowsConfig,
    TemporalConfig,
)
from trailergenre.models.calibration import Calibration, Probability, Section

FORMAT: Literal["trailergenre-bundle-3"] = "trailergenre-bundle-3"

UNKNOWN_WEIGHTS = "unknown"
"""Origin of the network's weights if the artefact was not at hand in training."""

_Text = Annotated[str, Field(min_length=1)]


class BackboneFacts(Section):
    """The network whose features the model was trained on."""

    backbone_id: _Text
    precision: _Text
    width: int = Field(gt=0)  # features per frame
    weights: _Text  # imagenet, a path, or random(seed=...)
    path: str = ""  # where it was in training


class SamplingFacts(Section):
    """How frames were sampled."""

    frames_per_s: float = Field(gt=0)
    frame_side_px: int = Field(gt=0)


class TrainingFacts(Section):
    """What the model was trained on; `movies` and `links` map parts to counts."""

    data_sha256: _Text  # over every link's features commit, genres and part
    shuffled_labels: bool  # a control
    dataset: DatasetConfig
    movies: dict[str, int]
    links: dict[str, int]
    # by what tells the movie: id, title and year, title, link
    movies_by_name: dict[str, int] = Field(default_factory=dict)
    genre_shares: tuple[Probability, ...]  # of the training part's links: the prior
    links_without_features: int
    links_without_modelled_genre: int
    links_without_part: int


class GenreFacts(Section):
    """One genre on the test part; `ap` is None if no test movie has it."""

    movies: int
    ap: float | None


class TestFacts(Section):
    """The model's metrics on the test part.

    `measures` maps model, uncalibrated, prior and majority to fields of `multilabel.Metrics`.
    """

    movies: int
    measures: dict[str, dict[str, float | None]]
    genres: dict[str, GenreFacts]


class Trial(Section):
    """One set of hyper-parameters, with mean and standard deviation of mAP over inner folds."""

    parameters: dict[str, float]
    mean_ap: float
    spread: float


class SearchFacts(Section):
    """How the hyper-parameters were chosen; the first trial is the best, and the model's."""

    seed: int
    folds: int
    trials: tuple[Trial, ...] = Field(min_length=1)


class Manifest(Section):
    """manifest.json, except for the checksums."""

    format: Literal["trailergenre-bundle-3"] = FORMAT
    genres: tuple[_Text, ...] = Field(min_length=1)
    thresholds: tuple[Probability, ...]  # genre k is predicted if probability >= thresholds[k]
    # `default`: too few validation movies; thresholds are not chosen, and nothing is calibrated
    thresholds_from: Literal["validation", "default"] = "validation"
    not_modelled: dict[str, int]  # genre -> movies, for the genres with too few
    model: Literal["forest", "logistic", "temporal"]
    rows: Literal["pooled", "frames"]
    trainer: Literal["mllib", "sklearn", "keras"]
    rows_config: RowsConfig
    parameters: ForestConfig | LogisticConfig | TemporalConfig
    search: SearchFacts | None  # None: the parameters are the configuration's
    calibration: Calibration
    backbone: BackboneFacts
    sampling: SamplingFacts
    training: TrainingFacts
    validation_mean_ap: float  # on the movies that choose calibration and thresholds
    test: TestFacts
    versions: dict[str, str]
    created_at: datetime
