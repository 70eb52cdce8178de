"""The names that notebooks use: `import trailergenre as tg`. They are stable; all else may move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre.base.config import Config, RowsConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError, ItemError
from trailergenre.base.storage import Store
from trailergenre.features.backbone import BackboneManifest, Embedder
from trailergenre.features.fetch_frames import FetchedLink, fetch_links
from trailergenre.features.settings import stream_settings
from trailergenre.models.bundle import Bundle
from trailergenre.models.bundle_file import open_bundle
from trailergenre.models.pooled_table import iter_pooled
from trailergenre.models.pooling import frames_of_table
from trailergenre.models.score_files import ListedRow, make_record
from trailergenre.models.score_link import (
    allow_files,
    embed_link,
    find_notes,
    link_frames,
    load_all_threads,
    parse_cell,
    score_links,
)
from trailergenre.models.timeline import make_timeline
from trailergenre.models.use_backbone import use_backbone
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

__all__ = [
    "Backbone",
    "FrameFeatures",
    "ItemError",
    "Run",
    "decode",
    "embed",
    "load_backbone",
    "load_bundle",
    "open_run",
    "score",
    "timeline",
]


@dataclass(frozen=True)
class Backbone:
    """A network that is loaded. Make one with `load_backbone`."""

    config: Config = field(repr=False)
    embedder: Embedder = field(repr=False)

    @property
    def manifest(self) -> BackboneManifest:
        """Its identity: `backbone_id`, `network`, `source` of the weights, `precision` and more."""
        return self.embedder.manifest


class FrameFeatures(np.ndarray[tuple[int, int], np.dtype[np.float32]]):
    """Features of a video's frames: an array of shape (n, width), float32.

    The width is the network's: 2,048 for Inception-V3.

    Row i belongs to the frame at `times[i]`.

    Attributes:
        times: seconds from the start of the video, shape (n,), float64.
        url: the canonical link.
    """

    times: NDArray[np.float64]
    url: str

    def __array_finalize__(self, source: object) -> None:
        """Views and results of calculations keep neither times nor link."""


def load_backbone(path: str | Path | None = None, *, settings: Sequence[str] = ()) -> Backbone:
    """Load the network that turns frames into features; this takes seconds.

    Args:
        path: directory that `trailergenre backbone export` wrote; None: what the settings file
            says, or else `artefacts/backbone`.
        settings: as for `--set` on the command line, e.g. `["frames.per_second=2"]`.

    Raises:
        WeightsError: there is no network in `path`, or it is damaged.
        ConfigError: a setting is unknown or invalid.

    Examples:
        >>> import trailergenre as tg
        >>> net = tg.load_backbone("artefacts/backbone")
        >>> net.manifest.precision
        'fp32'
    """
    config = load_config(overrides=settings)
    if path is not None:
        backbone = config.backbone.model_copy(update={"path": str(path)})
        config = config.model_copy(update={"backbone": backbone})
    return Backbone(config, load_all_threads(config))


def embed(link: str | Path, net: Backbone) -> FrameFeatures:
    """Download or open one video and compute the features of its frames.

    Args:
        link: a link that yt-dlp can read, or the path of a video.
        net: a loaded network. Its settings give the frames per second (1 by default).

    Returns:
        Shape (n, width), float32, n >= 1; with `.times` in seconds.

    Raises:
        ItemError: the link has no features; its `outcome` and `detail` say why.

    Examples:
        >>> x = tg.embed("trailer.mp4", net)
        >>> x.shape, x.dtype, x.times.tolist()
        ((3, 2048), dtype('float32'), [0.0, 1.0, 2.0])
    """
    fetched = _embed(link, net)
    times = np.arange(len(fetched.features)) / net.config.frames.per_second
    return _frame_features(fetched.features, times, fetched.link.url)


def decode(link: str | Path, net: Backbone) -> NDArray[np.uint8]:
    """Download or open one video and decode its frames, those that `embed` gives to the network.

    All of them are in memory at once: 268 KB a frame of 299 x 299.

    Args:
        link: a link that yt-dlp can read, or the path of a video.
        net: a loaded network. Its settings give the frames per second (1 by default).

    Returns:
        Shape (n, height, width, 3), uint8, RGB, n >= 1; height and width are the network's.

    Raises:
        ItemError: the link has no frames; its `outcome` and `detail` say why.

    Examples:
        >>> tg.decode("trailer.mp4", net).shape
        (3, 299, 299, 3)
    """
    parsed = parse_cell(str(link), net.config)
    settings = stream_settings(allow_files([parsed], net.config), net.manifest.input)
    ((fetched, batches),) = [(each, list(each.frames)) for each in fetch_links([parsed], settings)]
    if not fetched.row.is_ok:
        raise ItemError(fetched.row.outcome, fetched.row.detail)
    return np.concatenate(batches)


def load_bundle(address: str | Path) -> Bundle:
    """Load a model: the directory, `.tar` or address of a bundle. No code of it is run.

    Raises:
        BundleError: there is none, or it is damaged.

    Examples:
        >>> model = tg.load_bundle("bundles/mine")
        >>> model.manifest.genres
        ('Action', 'Comedy', 'Drama', 'Horror')
    """
    return open_bundle(str(address), load_config())


def score(
    links: str | Path | Sequence[str | Path], model: Bundle, net: Backbone | None = None
) -> pd.DataFrame:
    """Score links and videos. Sites keep their pace: YouTube gets a request every 12 s.

    Give all links in one call, since the pace holds within it.

    Args:
        links: links, paths of videos, or one of them.
        model: a bundle.
        net: the network of its features; None to find and load it.

    Returns:
        One row a link, in order, with `row`, `url`, `title`, `outcome` (`ok` or what went wrong),
        `detail`, `frames`, `predicted` (genres that reach their threshold, `A|B`), `model`, and for
        each genre G its probability `G` (0..1, NaN without a score), `G_threshold` and
        `G_predicted` (`yes` or `no`).

    Raises:
        BundleError: the model was made for another network or sampling.

    Examples:
        >>> frame = tg.score(["trailer.mp4", "no-such.mp4"], model, net)
        >>> frame["outcome"].tolist()
        ['ok', 'link_invalid']
    """
    import pandas as pd

    cells = [str(links)] if isinstance(links, (str, Path)) else [str(link) for link in links]
    config = net.config if net else use_backbone(load_config(), model)
    genres = model.manifest.genres
    records: list[dict[str, object]] = [{}] * len(cells)
    embedder = net.embedder if net else None
    for place, result in score_links(cells, model, config, embedder):
        row = ListedRow(place + 1, cells[place])
        records[place] = make_record(row, result, genres=genres, sha256=model.sha256)
    return pd.DataFrame(records)


def timeline(link: str | Path, model: Bundle, net: Backbone | None = None) -> pd.DataFrame:
    """Score one video window by window, as `score --report` does.

    A window has 16 seconds, but at most a quarter of the video. Each is scored as if it were a
    whole trailer; windows are shorter than what the model was trained on.

    Args:
        link: a link that yt-dlp can read, or the path of a video.
        model: a bundle.
        net: the network of its features; None to find and load it.

    Returns:
        A row for each window, with the second at which it starts as index, and a column for each
        genre with its probability (0..1).

    Raises:
        ItemError: the link has no features; its `outcome` and `detail` say why.
        BundleError: the model was made for another network or sampling.

    Examples:
        >>> tg.timeline("trailer.mp4", model, net)["Horror"].tolist()
        [0.4, 0.4]
    """
    import pandas as pd

    if net is None:
        config = use_backbone(load_config(), model)
        net = Backbone(config, load_all_threads(config))
    find_notes(model, net.config)  # raises if the model is for another network
    fetched = _embed(link, net)
    genres = {genre: column for column, genre in enumerate(model.manifest.genres)}
    found = make_timeline(
        model.scorer,
        link_frames(fetched, net.config),
        frames_per_s=net.config.frames.per_second,
        genres=genres,
    )
    columns = {line.genre: line.probabilities for line in found.lines}
    return pd.DataFrame(columns, index=pd.Index(found.starts_s, name="second"))


def open_run(address: str | Path, features: str | None = None) -> Run:
    """Open a run, to read its tables.

    Args:
        address: a directory, s3://, gs://, abfss:// or hdfs://.
        features: a fingerprint, if the run holds several features.

    Raises:
        ConfigError: there is no run, or it has several features to choose from.

    Examples:
        >>> run = tg.open_run("runs/mine")
        >>> run.outcomes()["outcome"].value_counts().to_dict()
        {'ok': 3}
    """
    store = Store(str(address))
    return Run(store, choose_fingerprint(store, features))


@dataclass(frozen=True)
class Run:
    """A run's tables. Make one with `open_run`."""

    store: Store
    fingerprint: str  # of the features

    def links(self) -> pd.DataFrame:
        """Every row of the list: `row`, `link_id`, `url`, `title`, `row_outcome` and more."""
        return _to_pandas(tables.read_table(self.store, "links"))

    def labels(self) -> pd.DataFrame:
        """Genres of the links: `link_id`, `movie_id`, `title`, `genres`, `part`."""
        return _to_pandas(tables.read_table(self.store, "labels"))

    def outcomes(self) -> pd.DataFrame:
        """What became of every link that was tried: `outcome`, `detail`, `frames`, times, sizes."""
        return _to_pandas(outcomes_table.read_outcomes(self.store, self.fingerprint))

    def scores(self) -> pd.DataFrame:
        """Scores of the last `predict`, a row for each link and genre.

        `probability` (0..1), `threshold`, `is_predicted`, `rank` (from 1); and of the link's row in
        the list `row`, `url`, `title` and `other`, a JSON object of the list's other columns.
        """
        return _to_pandas(tables.read_table(self.store, "scores"))

    def features(self, link: str) -> FrameFeatures:
        """Features of one link, by its link_id or url; shape (n, width), float32.

        Raises:
            ConfigError: the link is not in the run, or has no features.
        """
        found = next(self.iter_features([self._link_id(link)]), None)
        if found is None:
            raise ConfigError(f"{link} has no features in {self.store}; see its outcome.")
        return found[1]

    def iter_features(
        self, link_ids: Sequence[str] | None = None
    ) -> Iterator[tuple[str, FrameFeatures]]:
        """Read link_id and features of links, or of all; a file of them is in memory at a time."""
        outcomes = outcomes_table.read_outcomes(self.store, self.fingerprint)
        urls = self._urls()
        for table in features_table.iter_features(self.store, outcomes, link_ids):
            for link in frames_of_table(table):
                url = urls.get(link.link_id, "")
                yield link.link_id, _frame_features(link.features, link.frame_time_s, url)

    def pooled(
        self, statistics: Sequence[Literal["mean", "max", "std"]] = ("mean", "max", "std")
    ) -> tuple[list[str], NDArray[np.float32]]:
        """One row a link: link_ids, and shape (n_links, len(statistics) x width), float32.

        All columns of the first statistic come first. The run keeps the rows (`pooled/`), so that
        they are made once.
        """
        outcomes = outcomes_table.read_outcomes(self.store, self.fingerprint)
        config = RowsConfig(statistics=tuple(statistics))
        files = list(iter_pooled(self.store, outcomes, config))
        rows = [file.rows for file in files] or [np.empty((0, 0), np.float32)]
        return [link_id for file in files for link_id in file.link_ids], np.concatenate(rows)

    def spark(self, session: SparkSession) -> dict[str, DataFrame]:
        """The tables as Spark DataFrames: links, labels, outcomes, features and, if any, scores.

        `features` has a row for each frame: link_id, frame_index, frame_time_s, features.
        """
        from trailergenre.spark.run_tables import read_run_tables

        return read_run_tables(session, self.store, self.fingerprint)

    def _urls(self) -> dict[str, str]:
        links = tables.read_table(self.store, "links").select(["link_id", "url"]).to_pylist()
        return {row["link_id"]: row["url"] for row in links if row["link_id"]}

    def _link_id(self, link: str) -> str:
        urls = self._urls()
        if link in urls:
            return link
        found = next((link_id for link_id, url in urls.items() if url == link), None)
        if found is None:
            raise ConfigError(f"{link} is neither a link_id nor a url of {self.store}.")
        return found


def _embed(link: str | Path, net: Backbone) -> FetchedLink:
    fetched = embed_link(parse_cell(str(link), net.config), net.config, net.embedder)
    if not fetched.row.is_ok:
        raise ItemError(fetched.row.outcome, fetched.row.detail)
    return fetched


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _frame_features(
    features: NDArray[np.float32], times: NDArray[np.float64], url: str
) -> FrameFeatures:
    array = cast(FrameFeatures, features.view(FrameFeatures))
    array.times, array.url = times, url
    return array
