"""The arithmetic of a large run: cores, GPUs, bytes, requests, hours, money, and what breaks first.

Knows nothing of where the measured figures come from, nor of how the page looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trailergenre.base.config import ChunksConfig
from trailergenre.features.chunks import TASKS_PER_SLOT, count_tasks
from trailergenre.features.settings import links_per_commit

DAY_S = 86_400
HOUR_S = 3_600
GB = 1e9


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here: edit it to your own; the page is computed anew from it.

    Attributes:
        frames_a_video: 150 s, the usual length of a trailer, at one frame a second.
        bytes_a_video: the smallest adequate format, some 270 kbit/s of 640 x 360 for 150 s; videos
            differ by a factor of two either way.
        videos_an_hour: that a site lets one address have; YouTube's limit for guests, about. More
            addresses, or an account, are between the user and the site.
        bytes_a_frame: 2,048 float32 values; they hardly compress.
        document_bytes: a frame in MongoDB, with its keys.
        core_hour: price of a core of a general-purpose machine in a public cloud, on demand.
        gpu_hour: of one data-centre GPU, on demand.
        gb_month: of object storage.
        thousand_puts: of requests that write to object storage.
        driver_bytes: `spark.driver.memory` of conf/, taken for the Python driver beside it too.
        poll_s: how often a run in a pipe shows its progress.
        links_a_commit: most links of one commit, which is two files.
        commit_s: age at which a commit is closed with fewer (`chunks.max_seconds`).
        max_tasks: of one Spark stage before the scheduler is what a run waits for; a rule of thumb.
        mongo_bytes: what one MongoDB server holds comfortably; beyond it the collection is sharded.
    """

    frames_a_video: int = 150
    bytes_a_video: int = 5_000_000
    videos_an_hour: float = 300
    bytes_a_frame: int = 8_192
    document_bytes: int = 8_500
    core_hour: float = 0.05
    gpu_hour: float = 4.0
    gb_month: float = 0.023
    thousand_puts: float = 0.005
    driver_bytes: float = 4e9
    poll_s: float = 15
    links_a_commit: int = links_per_commit(ChunksConfig())
    commit_s: float = ChunksConfig().max_seconds
    max_tasks: int = 100_000
    mongo_bytes: float = 2e12


@dataclass(frozen=True)
class Speed:
    """What one machine was measured to do.

    Attributes:
        name: of the way.
        core_s_a_frame: core seconds of the whole stage (decode, network, Spark) a frame; with a
            GPU those of decoding alone.
        gpu_frames_per_s: of the network on one GPU; None: the cores do it.
    """

    name: str
    core_s_a_frame: float
    gpu_frames_per_s: float | None = None


@dataclass(frozen=True)
class DriverCost:
    """What the driver needs a link, from runs of two sizes.

    Attributes:
        plan_bytes: at most, while it compares a finished list with what is committed.
        progress_bytes: while a run goes on.
        poll_s: CPU seconds of one look at the progress.
        plan_s: CPU seconds until the first task starts.
        outcomes_bytes: on storage.
    """

    plan_bytes: float
    progress_bytes: float
    poll_s: float
    plan_s: float
    outcomes_bytes: float


@dataclass(frozen=True)
class Plan:
    """What a number of trailers takes, once.

    Attributes:
        n_links: trailers.
        core_hours: of the stage.
        cores: for a run of one day.
        gpu_hours: 0 where the cores do it.
        gpus: for a run of one day.
        tasks: of the one stage of such a run, by as many slots as it has cores.
        downloaded_gb: from the sites.
        features_gb: stored.
        outcomes_gb: stored.
        mongo_gb: where the features are published.
        site_hours: one address at one site that limits it.
        addresses: of ours that one site must bear for a run of one day.
        files: written.
        money: for compute and writing; storage a month is `money_a_month`.
        money_a_month: of what is stored.
    """

    n_links: int
    core_hours: float
    cores: int
    gpu_hours: float
    gpus: int
    tasks: int
    downloaded_gb: float
    features_gb: float
    outcomes_gb: float
    mongo_gb: float
    site_hours: float
    addresses: int
    files: int
    money: float
    money_a_month: float


@dataclass(frozen=True)
class Wall:
    """Something that ends or slows a run of one list.

    Attributes:
        name: what.
        n_links: trailers at which it is reached.
        then: what happens, and what helps.
    """

    name: str
    n_links: float
    then: str


def slope(small: tuple[int, float], large: tuple[int, float]) -> float:
    """Cost a link, from (links, cost) of two runs; what a process costs empty falls out.

    >>> slope((100, 30.0), (300, 50.0))
    0.1
    """
    return (large[1] - small[1]) / (large[0] - small[0])


def plan_run(n_links: int, speed: Speed, driver: DriverCost, given: Assumptions) -> Plan:
    """What so many trailers take in one run at a speed."""
    frames = n_links * given.frames_a_video
    core_s = frames * speed.core_s_a_frame
    gpu_s = frames / speed.gpu_frames_per_s if speed.gpu_frames_per_s else 0.0
    cores = math.ceil(core_s / DAY_S)
    in_time = math.ceil(given.commit_s * n_links / core_s)
    files = 2 * math.ceil(n_links / min(given.links_a_commit, in_time))
    features_gb = frames * given.bytes_a_frame / GB
    outcomes_gb = n_links * driver.outcomes_bytes / GB
    return Plan(
        n_links=n_links,
        core_hours=core_s / HOUR_S,
        cores=cores,
        gpu_hours=gpu_s / HOUR_S,
        gpus=math.ceil(gpu_s / DAY_S),
        tasks=count_tasks(n_links, cores),
        downloaded_gb=n_links * given.bytes_a_video / GB,
        features_gb=features_gb,
        outcomes_gb=outcomes_gb,
        mongo_gb=frames * given.document_bytes / GB,
        site_hours=n_links / given.videos_an_hour,
        addresses=math.ceil(n_links / (given.videos_an_hour * DAY_S / HOUR_S)),
        files=files,
        money=core_s / HOUR_S * given.core_hour
        + gpu_s / HOUR_S * given.gpu_hour
        + files / 1000 * given.thousand_puts,
        money_a_month=(features_gb + outcomes_gb) * given.gb_month,
    )


def find_walls(driver: DriverCost, given: Assumptions, speed: Speed | None) -> list[Wall]:
    """What is reached first comes first.

    Args:
        driver: costs a link.
        given: what is not measured.
        speed: of the run; None where none was measured, which leaves the wall of tasks out.
    """
    mongo_bytes_a_link = given.frames_a_video * given.document_bytes
    walls = [
        Wall(
            "downloads of one address from one site in a day",
            given.videos_an_hour * DAY_S / HOUR_S,
            "the run takes longer, because the site sets the pace (`[hosts]`); nothing fails",
        ),
        Wall(
            "a progress update takes longer than 15 s",
            given.poll_s / driver.poll_s,
            "one core of the driver is busy, and updates are late; tasks are not slower",
        ),
        Wall(
            "driver memory while planning",
            given.driver_bytes / driver.plan_bytes,
            "the driver is killed before the first request; add memory or split the list",
        ),
        Wall(
            "driver memory during the run",
            given.driver_bytes / driver.progress_bytes,
            "the driver is killed; committed links stay, and the run resumes there",
        ),
        Wall(
            "one MongoDB server",
            given.mongo_bytes / mongo_bytes_a_link,
            "it slows down beyond its memory and disk; shard the collection by `_id`, in ranges",
        ),
    ]
    if speed is not None:
        # A list is dealt to so many tasks a slot, however long it is.
        slots = given.max_tasks / TASKS_PER_SLOT
        links_a_slot = DAY_S / (given.frames_a_video * speed.core_s_a_frame)
        walls.append(
            Wall(
                f"tasks of one Spark stage, to finish in one day with {speed.name}",
                slots * links_a_slot,
                "tasks wait for the scheduler; use fewer slots and more days",
            )
        )
    return sorted(walls, key=lambda wall: wall.n_links)
