"""The configuration: one frozen pydantic model a section. `config_files` reads it from TOML.

Defaults live here only. Functions take the section they need, never the whole tree.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """Base of every section: frozen; unknown keys are errors, and no error shows a value itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LinksConfig(Section):
    """Which links are accepted besides public http(s) ones."""

    allowed_roots: tuple[str, ...] = ()
    """Directories whose videos may be used as links; empty: no local file is ever read."""


class NetworkConfig(Section):
    """Where downloads may connect to besides public addresses."""

    allow: tuple[str, ...] = ()
    """Exact `address:port` pairs that are reachable although private, e.g. a test server's."""
    proxy_variable: str | None = None
    """Environment variable that holds the address of a proxy for all downloads."""
    cookie_file: str | None = None
    """Cookies in Netscape's format, for the sites of `cookie_sites` alone."""
    cookie_sites: tuple[str, ...] = ("youtube",)
    """yt-dlp's names of the sites that get the cookies; a page of any other site never does."""


class HostConfig(Section):
    """How gently one host is asked; hosts without this section are not paced."""

    lanes: int = Field(default=1, ge=1)
    """Downloads from the host at the same time, over the whole cluster."""
    seconds_between: float = Field(default=12, ge=0)
    """Between the starts of two downloads of a lane; 12 s are 300 videos an hour."""


_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def _check_host(name: str) -> str:
    """Refuse what no link's host is ever equal to: such a section would pace nothing."""
    try:
        is_host = name == str(ipaddress.ip_address(name))
    except ValueError:
        is_host = _NAME.fullmatch(name) is not None
    if not is_host:
        raise ValueError("write a host in lower case, without scheme, port or path")
    return name


Host = Annotated[str, AfterValidator(_check_host)]


class LimitsConfig(Section):
    """Bounds of one link."""

    deadline_s: float = Field(default=600, gt=0)
    """Wall-clock seconds for downloading and decoding one link, all attempts together."""
    max_file_bytes: int = Field(default=500_000_000, gt=0)
    """Largest download; a larger one is `too_large`."""
    max_duration_s: float = Field(default=1200, gt=0)
    """Longest video; a longer one is `too_long`."""
    max_frames: int = Field(default=1200, gt=0)
    """Most frames of one video; what has more is `too_long`. Raise it with `frames.per_second`: at
    10 a second the default is two minutes."""
    max_pixels: int = Field(default=8_300_000, gt=0)
    """Pixels of a source frame."""
    max_memory_bytes: int = Field(default=1_500_000_000, gt=0)
    """Memory of one download with all that it starts, and of one decoder; 4K pictures take a
    decoder 750 MB."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Downloads tried where the reason may pass; the only retry layer."""


class FramesConfig(Section):
    """Which frames are taken from a video."""

    per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames for each second of the video, the first at its start."""


class BackboneConfig(Section):
    """The network that turns frames into features."""

    path: str = "artefacts/backbone"
    """Directory that `trailergenre backbone export` wrote."""
    engine: Literal["onnxruntime", "tensorflow"] = "onnxruntime"
    """Who runs the network."""
    device: Literal["cpu", "gpu"] = "cpu"
    """gpu: a task without a GPU fails; it is never silently the CPU."""
    threads: int = Field(default=1, ge=1)
    """Threads of the engine in one task; tasks x threads = cores."""
    batch_size: int = Field(default=16, ge=1)
    """Frames a call of the network."""
    mixed_precision: bool = False
    """float16 arithmetic, by TensorFlow, for GPUs; other features than float32's."""

    @model_validator(mode="after")
    def _check_mixed_precision(self) -> Self:
        if self.mixed_precision and self.engine != "tensorflow":
            raise ValueError("mixed_precision takes engine = tensorflow")
        return self


class ChunksConfig(Section):
    """The unit of work, commit and resume."""

    max_links: int = Field(default=32, ge=1)
    """What a kill costs a task at most. Below 4, downloads, decoders and network overlap less."""
    max_seconds: float = Field(default=300, gt=0)
    """A chunk is committed when a link ends and it is this old, even if links are left.

    While all downloads that may run at once hang, finished links wait for their commit until the
    first of these ends, at `limits.deadline_s` at the latest.
    """
    max_bytes: int = Field(default=64_000_000, gt=0)
    """A chunk is committed when its features are this large, even if links are left."""


class DatasetConfig(Section):
    """Which movies and genres a model is trained and tested on."""

    min_movies_per_genre: int = Field(default=50, ge=1)
    """Rarer genres are not modelled, and named as such."""
    split: Literal["folds", "given"] = "folds"
    """folds: made here by iterative stratification; given: the labels table's column `part`."""
    folds: int = Field(default=5, ge=2)
    """Parts of about one size that the movies are dealt to; one of them is the test part."""
    fold: int = Field(default=0, ge=0)
    """Which of the folds is the test part, from 0."""
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training movies that thresholds are chosen on."""
    seed: int = 7
    """Of the folds and of the validation movies."""

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"the last of {self.folds} folds is fold = {self.folds - 1}")
        return self


class RowsConfig(Section):
    """How the frames of a link become what a model sees."""

    statistics: tuple[Literal["mean", "max", "std"], ...] = Field(
        default=("mean", "max", "std"), min_length=1, max_length=3
    )
    """What a pooled row is made of, in order; features that are one row a link need the mean."""
    span: Literal["whole", "middle"] = "whole"
    """middle: only the frames of a video's middle third are used."""
    frames_per_link: int = Field(default=25, ge=1)
    """Frame rows a link that are trained on, evenly spaced: neighbours are near-duplicates."""

    @field_validator("statistics")
    @classmethod
    def _check_statistics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("name each statistic once")
        return names


class ForestConfig(Section):
    """The random forest, the same words for both trainers."""

    trees: int = Field(default=100, ge=1)
    """Of a forest."""
    max_depth: int = Field(default=12, ge=1, le=30)
    """Of a tree."""
    min_rows_per_leaf: int = Field(default=3, ge=1)
    """Training rows of a leaf at least."""
    seed: int = 7
    """Of the rows and columns that trees are grown on."""
    parallelism: int = Field(default=2, ge=1)
    """MLlib forests trained at the same time (one a genre); of scikit-learn, threads."""


class LogisticConfig(Section):
    """The logistic regression, one a genre, the same words for both trainers."""

    c: float = Field(default=0.03, gt=0)
    """Inverse strength of the L2 penalty, as in scikit-learn."""
    max_iterations: int = Field(default=500, ge=1)
    """Of the optimizer."""


class TemporalConfig(Section):
    """The head over the sequence of a link's frames."""

    head: Literal["transformer", "gru", "conv", "mean"] = "transformer"
    """How the sequence is read; mean: without its order, to compare with."""
    units: int = Field(default=128, ge=1)
    """Width of the layers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads of the transformer."""
    dropout: float = Field(default=0.25, ge=0, lt=1)
    """Share of the units that are left out in training."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of the optimizer, Adam."""
    batch_size: int = Field(default=32, ge=1)
    """Links a step."""
    max_epochs: int = Field(default=50, ge=1)
    """Passes over the training links at most."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better validation mAP before training ends."""
    seed: int = 7
    """Of the first weights and of the order of the links."""


class ScoreConfig(Section):
    """Scoring one link."""

    bundle: str | None = None
    """Model bundle that `trailergenre score` uses where `--bundle` is not given."""
    top: int = Field(default=3, ge=1)
    """Genres that are named."""


SECRET = "secret"
"""The type of an error whose value must not be repeated."""


def _check_place(text: str) -> str:
    """Refuse the connection string itself: on a command line everybody sees its password."""
    if re.search("://|^[^/~.].*@", text):  # a path may have an @, as homes of a domain do
        raise PydanticCustomError(SECRET, "write where the string stands, not the string itself")
    return text


Place = Annotated[str, AfterValidator(_check_place)]


class MongoConfig(Section):
    """Publishing to MongoDB. The address itself comes from the environment or a file only."""

    uri_variable: Place = "TRAILERGENRE_MONGO_URI"
    """Environment variable that holds the connection string."""
    uri_file: Place | None = None
    """File that holds the connection string, e.g. a mounted secret; goes before the variable."""
    database: str = "trailergenre"
    """Database that holds all collections."""
    collection: str = "frames"
    """One document a frame; `<collection>_trailers` and `<collection>_meta` stand beside it."""
    batch_size: int = Field(default=256, ge=1, le=512)
    """Documents a bulk write."""
    timeout_s: float = Field(default=10, gt=0)
    """Seconds to find the server, at the start and each time that it went away."""

    @field_validator("collection")
    @classmethod
    def _check_collection(cls, name: str) -> str:
        if name.endswith(("_trailers", "_meta")):
            raise ValueError("a name that ends in _trailers or _meta is for what stands beside")
        return name

    @property
    def trailers_collection(self) -> str:
        """One document a link."""
        return f"{self.collection}_trailers"

    @property
    def meta_collection(self) -> str:
        """One document: what the collection holds."""
        return f"{self.collection}_meta"


class Config(Section):
    """The whole tree."""

    links: LinksConfig = LinksConfig()
    network: NetworkConfig = NetworkConfig()
    hosts: dict[Host, HostConfig] = {}
    """Paced hosts with their subdomains: [hosts."youtube.com"]; the closest section counts."""
    limits: LimitsConfig = LimitsConfig()
    frames: FramesConfig = FramesConfig()
    backbone: BackboneConfig = BackboneConfig()
    chunks: ChunksConfig = ChunksConfig()
    dataset: DatasetConfig = DatasetConfig()
    rows: RowsConfig = RowsConfig()
    forest: ForestConfig = ForestConfig()
    logistic: LogisticConfig = LogisticConfig()
    temporal: TemporalConfig = TemporalConfig()
    score: ScoreConfig = ScoreConfig()
    mongo: MongoConfig = MongoConfig()
