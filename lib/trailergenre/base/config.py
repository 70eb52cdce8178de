"""The configuration: one frozen pydantic model per section. `config_files` reads it from TOML."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trailergenre.base.errors import StorageError
from trailergenre.base.storage_address import normalize_address


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys are errors, and errors never show a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LinksConfig(Section):
    """Links that are accepted in addition to public http(s) ones."""

    allowed_roots: tuple[str, ...] = ()
    """Directories whose videos may be used as links. If empty, no local file is ever read. Set it
    if your list names files; a folder given to `run` or `score` is allowed by itself."""

    def allows(self, path: Path) -> bool:
        """Whether a path is under one of the roots, with symbolic links resolved."""
        roots = [Path(root).expanduser().resolve() for root in self.allowed_roots]
        return any(path.resolve().is_relative_to(root) for root in roots)


SECRET = "secret"
"""Type of an error that must not repeat the value it is about."""


def _check_place(text: str) -> str:
    """Refuse an address: its password would be visible on the command line."""
    if re.search("://|^[^/~.].*@", text):  # a path may have an @, as homes of a domain do
        raise PydanticCustomError(
            SECRET, "name the variable or file that holds it, not what it holds"
        )
    return text


Place = Annotated[str, AfterValidator(_check_place)]


class NetworkConfig(Section):
    """Addresses, proxy and cookies of downloads."""

    allow: tuple[str, ...] = ()
    """Private `address:port` pairs that downloads may reach. Set it if videos are on a server of
    your own network."""
    proxy_variable: Place | None = None
    """Name of the environment variable that holds the proxy address for all downloads; every worker
    needs it. Set it if this network reaches the web through a proxy only."""
    cookie_file: Place | None = None
    """Cookie file in Netscape format, at the same path on every worker; sent only to the sites in
    `cookie_sites`. Set it if many links are `forbidden` or `throttled` without an account."""
    cookie_sites: tuple[str, ...] = ("youtube",)
    """Sites that receive the cookies, by their yt-dlp names. No other site does."""

    @property
    def egress(self) -> Literal["guarded", "proxy's"]:
        """Whose address policy applies: ours in each child, or the proxy's."""
        return "guarded" if self.proxy_variable is None else "proxy's"


class HostConfig(Section):
    """Request rate of one host, regardless of which link leads to it.

    By default only YouTube has one.
    """

    lanes: int = Field(default=1, ge=1)
    """Maximum concurrent downloads from the host, over the whole cluster. Raise it for a host that
    permits more, or with several addresses."""
    seconds_between: float = Field(default=12, ge=0)
    """Seconds between the starts of two downloads in a lane. 12 s is 300 videos an hour. Raise it
    if many links are `throttled`."""


_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def _check_host(name: str) -> str:
    """Refuse a name that no link's host can equal: the section would have no effect."""
    try:
        is_host = name == str(ipaddress.ip_address(name))
    except ValueError:
        is_host = _NAME.fullmatch(name) is not None
    if not is_host:
        raise ValueError("write a host in lower case, without scheme, port or path")
    return name


Host = Annotated[str, AfterValidator(_check_host)]


class LimitsConfig(Section):
    """Limits of one link."""

    deadline_s: float = Field(default=600, gt=0)
    """Wall-clock seconds to download and decode one link, over all attempts. Raise it on a slow
    line, if links end as `timeout`."""
    max_file_bytes: int = Field(default=500_000_000, gt=0)
    """Maximum download size; a larger file ends as `too_large`. Raise it for long or uncompressed
    videos of your own."""
    max_duration_s: float = Field(default=1200, gt=0)
    """Maximum video length; a longer video ends as `too_long`. Raise it for videos that are no
    trailers, with `max_frames`."""
    max_frames: int = Field(default=1200, gt=0)
    """Maximum frames of one video; more end as `too_long`. Raise it with `frames.per_second`."""
    max_pixels: int = Field(default=8_300_000, gt=0)
    """Maximum pixels of a source frame. Raise it for videos larger than 4K, with
    `max_memory_bytes`."""
    max_memory_bytes: int = Field(default=1_500_000_000, gt=0)
    """Maximum memory of one download with its children, and of one decoder (4K needs 750 MB)."""
    max_requests: int = Field(default=2000, gt=0)
    """Maximum HTTP requests of one attempt, redirects and segments included; more end as
    `resource`. 20 minutes of video in segments of 1 s are 1,200."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Attempts at a download that fails for a transient reason. No other layer retries."""
    max_rest_s: float = Field(default=900, ge=0)
    """Seconds that a task slot rests for one host, in all, where its answers ask for that
    (Retry-After). The other links of a host that asks for more are `deferred`."""


class FramesConfig(Section):
    """Frame sampling."""

    per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames per second of video. The first frame is at the start. More frames cost time and disk
    in proportion, and produce different features: all links are decoded again."""


class BackboneConfig(Section):
    """The network that turns frames into features."""

    path: str = "artefacts/backbone"
    """Directory written by `trailergenre backbone export`, or its address."""
    engine: Literal["onnxruntime", "openvino", "tensorflow"] = "onnxruntime"
    """Library that runs the network. `trailergenre doctor --bench` says which is fastest on this
    machine. `mixed_precision` needs `tensorflow`; `openvino` runs on CPUs only."""
    device: Literal["cpu", "gpu"] = "cpu"
    """With `gpu`, a task without a GPU fails. It never falls back to the CPU."""
    threads: int = Field(default=1, ge=1)
    """Engine threads per task. Tasks times threads should equal the number of cores."""
    batch_size: int = Field(default=16, ge=1)
    """Frames per call of the network. Raise it on a GPU."""
    mixed_precision: bool = False
    """Compute in float16 on GPUs; requires TensorFlow. The features differ from float32."""

    @field_validator("path")
    @classmethod
    def _holds_no_key(cls, path: str) -> str:
        try:
            return normalize_address(path) if "://" in path else path
        except StorageError as error:
            raise PydanticCustomError(SECRET, "{reason}", {"reason": str(error)}) from None

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.mixed_precision and self.engine != "tensorflow":
            raise ValueError("mixed_precision requires engine = tensorflow")
        if self.engine == "openvino" and self.device == "gpu":
            raise ValueError("engine = openvino requires device = cpu")
        return self


class ChunksConfig(Section):
    """The unit of work, commit and resume."""

    max_links: int = Field(default=32, ge=1)
    """Maximum links that a killed task loses. Values below 4 reduce the overlap of the stages."""
    max_seconds: float = Field(default=300, gt=0)
    """A chunk is committed at this age, also while all downloads hang or wait. A task's first ones
    are committed earlier, from 10 s on, so that a run shows soon how it goes."""
    max_bytes: int = Field(default=64_000_000, gt=0)
    """A chunk is committed as soon as its features reach this size. Lower it if workers lack
    memory."""


class DatasetConfig(Section):
    """Movies and genres that a model is trained and tested on."""

    min_movies_per_genre: int = Field(default=50, ge=1)
    """Genres with fewer movies are not modelled, and are reported. Lower it for a small list; the
    figures of genres with few movies vary widely."""
    split: Literal["folds", "given"] = "folds"
    """`folds`: by iterative stratification. `given`: by the column `part` of the labels table, to
    compare with a published split."""
    folds: int = Field(default=5, ge=2)
    """Number of folds. One of them is the test part."""
    fold: int = Field(default=0, ge=0)
    """Index of the test fold, from 0."""
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training movies held out for calibration and thresholds. Raise it if fewer than
    20 movies are in the validation part."""
    seed: int = 7
    """Random seed of the folds and of the validation movies."""

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"with {self.folds} folds the last fold is {self.folds - 1}")
        return self


class RowsConfig(Section):
    """How the frames of a link become the rows of a model."""

    statistics: tuple[Literal["mean", "max", "std"], ...] = Field(
        default=("mean", "max", "std"), min_length=1
    )
    """Statistics of a pooled row, in order. Features with one row per link need the mean."""
    span: Literal["whole", "middle"] = "whole"
    """With `middle`, only frames from the middle third of a video are used. Try it if studio logos
    and credits disturb."""
    frames_per_link: int = Field(default=25, ge=1)
    """Frame rows per link in training, evenly spaced because neighbours are near-duplicates."""

    @field_validator("statistics")
    @classmethod
    def _check_statistics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("name each statistic once")
        return names


class ForestConfig(Section):
    """Random forest, for both trainers."""

    trees: int = Field(default=100, ge=1)
    """Trees per forest. More trees vary less and take proportionally longer."""
    max_depth: int = Field(default=12, ge=1, le=30)
    """Maximum depth of a tree. Deeper trees take more time and memory."""
    min_rows_per_leaf: int = Field(default=3, ge=1)
    """Minimum training rows per leaf."""
    seed: int = 7
    """Random seed of the rows and columns that each tree sees."""
    parallelism: int = Field(default=2, ge=1)
    """MLlib: forests trained at the same time, one per genre. Raise it where slots stay idle.
    scikit-learn on one machine: threads."""
    rows_per_tree: int = Field(default=100_000, ge=1)
    """scikit-learn: maximum rows drawn for a tree, which it holds in memory: 2.5 GB of pooled rows.
    Lower it if the workers of a large run lack memory."""
    max_bins: int = Field(default=32, ge=2, le=1024)
    """MLlib: values that a column is rounded to. Where a genre shows faintly in many columns, more
    find it better; time and memory grow with them. scikit-learn uses the values themselves."""


class LogisticConfig(Section):
    """Logistic regression, one per genre, for both trainers."""

    c: float = Field(default=0.03, gt=0)
    """Inverse strength of the L2 penalty, as in scikit-learn. Lower it if the model is much better
    in training than in the test; `--search` tries values."""
    max_iterations: int = Field(default=500, ge=1)
    """Maximum iterations of the optimizer."""


class TemporalConfig(Section):
    """Temporal head: a model over the sequence of a link's frames."""

    head: Literal["transformer", "gru", "conv", "mean"] = "transformer"
    """Architecture; `mean`, a baseline, ignores the order of the frames."""
    units: int = Field(default=128, ge=1)
    """Width of the hidden layers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads of the transformer."""
    dropout: float = Field(default=0.25, ge=0, lt=1)
    """Dropout rate."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Learning rate of the Adam optimizer."""
    batch_size: int = Field(default=32, ge=1)
    """Links per training step."""
    max_epochs: int = Field(default=50, ge=1)
    """Maximum number of epochs."""
    patience: int = Field(default=5, ge=1)
    """Early stopping: epochs without a better validation mAP."""
    seed: int = 7
    """Random seed of the initial weights and of the order of the links."""


class ScoreConfig(Section):
    """Scoring one link."""

    bundle: str | None = None
    """Model bundle that `trailergenre score` uses if `--bundle` is not given."""
    top: int = Field(default=3, ge=1)
    """Number of genres to print; predicted ones are always printed."""

    @field_validator("bundle")
    @classmethod
    def _holds_no_key(cls, bundle: str | None) -> str | None:
        try:
            if not (bundle or "").startswith(("http://", "https://")):
                normalize_address(bundle or "")
        except StorageError as error:
            raise PydanticCustomError(SECRET, "{reason}", {"reason": str(error)}) from None
        return bundle


class MongoConfig(Section):
    """Publishing to MongoDB. The connection string comes only from the environment or a file."""

    uri_variable: Place = "TRAILERGENRE_MONGO_URI"
    """Name of the environment variable that holds the connection string; every worker needs it."""
    uri_file: Place | None = None
    """File that holds the connection string, e.g. a mounted secret, at the same path on every
    worker. Overrides the variable."""
    database: str = "trailergenre"
    """Name of the database."""
    collection: str = "frames"
    """Collection of frames. `<collection>_trailers` and `<collection>_meta` are named after it."""
    batch_size: int = Field(default=256, ge=1, le=512)
    """Documents per call. Lower it on a slow line."""
    timeout_s: float = Field(default=30, gt=0)
    """Seconds a call may take: to find the server, to send, and to be answered. Raise it on a slow
    line."""

    @field_validator("collection")
    @classmethod
    def _check_collection(cls, name: str) -> str:
        if name.endswith(("_trailers", "_meta")):
            raise ValueError("names ending in _trailers or _meta are reserved")
        return name

    @property
    def trailers_collection(self) -> str:
        """Collection with one document per link."""
        return f"{self.collection}_trailers"

    @property
    def meta_collection(self) -> str:
        """Collection with one document that describes the other two."""
        return f"{self.collection}_meta"


class Config(Section):
    """All sections."""

    links: LinksConfig = LinksConfig()
    network: NetworkConfig = NetworkConfig()
    hosts: dict[Host, HostConfig] = Field({}, validate_default=True)
    """`[hosts."youtube.com"]` covers subdomains, too; the most specific section applies."""
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

    @field_validator("hosts")
    @classmethod
    def _pace_youtube(cls, hosts: dict[str, HostConfig]) -> dict[str, HostConfig]:
        return {"youtube.com": HostConfig()} | hosts
