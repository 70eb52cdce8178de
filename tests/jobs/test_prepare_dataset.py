"""The job on the command line: counts, tables and error messages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from submits import REPOSITORY, load_job
from trailergenre.base.config import DatasetConfig
from trailergenre.base.storage import Store
from trailergenre.links import prepare
from trailergenre.links.labelled_links import Part, labelled_links
from trailergenre.models.splits import split_links
from trailergenre.runs import tables


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, object]:
        """The last line of stdout."""
        return dict(json.loads(self.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Job:
    """The job for one run; `start` is for a process of its own."""

    run: Path

    def __call__(self, *options: str | Path) -> Ended:
        words = [str(self.run), *map(str, options)]
        done = CliRunner().invoke(load_job("prepare_dataset").app, words)
        return Ended(done.exit_code, done.stdout, done.stderr)

    def start(self, *options: str | Path) -> Ended:
        command = [sys.executable, "jobs/prepare_dataset.py", self.run, *options]
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "run")


def assert_real_counts(ended: Ended, job: Job) -> None:
    """The clean set of the original project's links, by row and by genre."""
    assert ended.code == 0, ended.stderr
    counts = ended.summary["by_row_outcome"]
    assert isinstance(counts, dict)
    assert {outcome: n for outcome, n in counts.items() if n} == {
        "ready": 3742,
        "link_empty": 11,
        "not_a_single_video": 75,
        "duplicate": 61,
        "ambiguous": 181,
    }
    assert sum(counts.values()) == ended.summary["rows"] == 4070
    assert (ended.summary["links"], ended.summary["movies"]) == (3742, 3736)
    genres = ended.summary["movies_by_genre"]
    assert isinstance(genres, dict)
    assert list(genres.items())[:4] == [
        ("Drama", 1858),
        ("Comedy", 1484),
        ("Thriller", 1109),
        ("Action", 922),
    ]
    assert (genres["Western"], len([n for n in genres.values() if n >= 50])) == (71, 20)
    links, labels = (tables.read_table(Store(str(job.run)), name) for name in ("links", "labels"))
    assert len(links) == 4070
    with_video = [row for row in links.to_pylist() if row["link_id"]]
    assert len(with_video) == 3984
    assert len({row["link_id"] for row in with_video}) == 3811
    assert len(labels) == len(set(labels["link_id"].to_pylist())) == 3742


def real(data_dir: Path) -> list[str | Path]:
    data = data_dir / "imdb5000"
    return ["--links", data / "trailer_source.csv", "--metadata", data / "movie_metadata.csv"]


def test_the_real_list_gives_the_clean_set(job: Job, data_dir: Path) -> None:
    assert_real_counts(job.start(*real(data_dir)), job)


def test_the_original_matrix_is_refused_and_nothing_is_written(job: Job, data_dir: Path) -> None:
    ended = job(*real(data_dir), "--labels", data_dir / "imdb5000" / "movie_genre_matrix.csv")
    assert ended.code == 2
    assert "3862 of 3930 movies (98.3%)" in ended.stderr
    assert "'Tangled' has Action|Adventure|Sci-Fi, the metadata say Adventure|" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not job.run.exists()


def test_labels_that_agree_are_taken(job: Job, data_dir: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("title,genres\nAvatar,Sci-Fi|Fantasy|Adventure|Action\n")
    ended = job(*real(data_dir), "--labels", labels)
    assert ended.code == 0, ended.stderr
    assert "labels agree with the metadata (1 movies compared)" in ended.stderr
    assert ended.summary["movies"] == 1


def write_videos(root: Path) -> None:
    for name in ("Comedy/a.mp4", "Action+Comedy/b.mp4", "loose.mp4", "Comedy/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_directory_of_videos_is_a_list_where_it_is_allowed(job: Job, tmp_path: Path) -> None:
    root = tmp_path / "videos"
    write_videos(root)
    allowed = f"links.allowed_roots={json.dumps([str(root)])}"
    ended = job("--links", root, "--set", allowed)
    assert ended.code == 0, ended.stderr
    assert ended.summary["movies_by_genre"] == {"Comedy": 2, "Action": 1}
    assert "note: 1 files are not videos by their names: notes.txt." in ended.stderr
    labels = tables.read_table(Store(str(job.run)), "labels").to_pylist()
    assert {row["title"]: row["genres"] for row in labels} == {
        "a": ["Comedy"],
        "b": ["Action", "Comedy"],
    }
    links = tables.read_table(Store(str(job.run)), "links").to_pylist()
    assert [row["row_outcome"] for row in links] == ["ready", "ready", "no_label"]


def test_a_directory_elsewhere_is_refused(job: Job, tmp_path: Path) -> None:
    write_videos(tmp_path / "videos")
    for options in ([], ["--set", f'links.allowed_roots=["{tmp_path}/other"]']):
        ended = job("--links", tmp_path / "videos", *options)
        assert ended.code == 2
        assert "Add --set 'links.allowed_roots=" in ended.stderr


def test_a_list_as_people_have_it_is_read_and_what_is_odd_is_told(job: Job, tmp_path: Path) -> None:
    """Semicolons, Windows-1252, other names of columns and genres, two trailers of a title."""
    path = tmp_path / "my list.csv"
    lines = [
        "Trailer;Name;Genre;Release Year;Comment;",
        "https://www.youtube.com/watch?v=AAAAAAAA001?rel=0;Am\xe9lie;Comedy, Romance;2001;x;",
        "https://youtu.be/AAAAAAAA002;AM\xc9LIE - Trailer 2;comedy/romance;2001.0;;",
        "AAAAAAAA003;Heat;['Crime', 'Horor'];N/A;;",
        "AAAAAAAA004;Heat (1995);Crime|SciFi;;;",
        "AAAAAAAA005;Alien;Horror|Science Fiction;1979;;",
        "AAAAAAAA006;Signs;(no genres listed);2002;;",
        "AAAAAAAA007;Tron;28|878;1982;;",
    ]
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    ended = job("--links", path)
    assert ended.code == 0, ended.stderr
    assert (ended.summary["links"], ended.summary["movies"]) == (5, 3)
    genres = {"Comedy": 1, "Crime": 1, "Horor": 1, "Horror": 1, "Romance": 1, "Sci-Fi": 2}
    assert ended.summary["movies_by_genre"] == genres
    for said in (
        "       2  Sci-Fi\n",
        "columns are separated by semicolons",
        "read as Windows-1252",
        "columns read: 'Trailer' as url, 'Genre' as genres, 'Name' as title, "
        "'Release Year' as year",
        "'SciFi' as Sci-Fi, 'Science Fiction' as Sci-Fi",
        "columns that are not used: 'Comment'",
        "2 titles have several links and no movie_id, and are one movie each",
        "'Horor' and 'Horror'",
    ):
        assert said in ended.stderr
    links = tables.read_table(Store(str(job.run)), "links").to_pylist()
    assert [row["row_outcome"] for row in links[5:]] == ["no_label", "no_label"]
    assert links[6]["detail"] == "'28' is not the name of a genre"
    labels = tables.read_table(Store(str(job.run)), "labels").to_pylist()
    movies = [row["movie_id"] for row in labels]
    assert movies[:4] == ["title:amelie (2001)"] * 2 + ["title:heat (1995)"] * 2


def test_two_trailers_of_one_title_are_never_in_two_parts(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    genres = ["Action", "Comedy", "Drama", "Horror"]
    rows = [
        f"https://example.org/{n}-{trailer},Movie {n}{ending},{genres[n % 4]}"
        for n in range(100)
        for trailer, ending in enumerate(("", " - Official Trailer"))
    ]
    path.write_text("\n".join(["url,title,genres", *rows]))
    assert job("--links", path).summary["movies"] == 100
    links = labelled_links(tables.read_table(Store(str(job.run)), "labels"))
    titles = {
        row["link_id"]: row["title"].partition(" -")[0]
        for row in tables.read_table(Store(str(job.run)), "labels").to_pylist()
    }
    for fold in range(5):
        parts: dict[str, set[Part]] = defaultdict(set)
        for link, part in zip(
            links, split_links(links, genres, DatasetConfig(fold=fold)), strict=True
        ):
            parts[titles[link.link_id]].add(part)
        assert len(parts) == 100
        assert all(len(found) == 1 for found in parts.values())


def test_unlabelled_links_are_ready_without_labels(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    path.write_text("url\nhttps://example.org/1\nhttps://example.org/1\nnot a url\n")
    ended = job("--links", path, "--unlabelled")
    assert ended.code == 0, ended.stderr
    assert ended.summary["links"] == 1
    assert len(tables.read_table(Store(str(job.run)), "labels")) == 0


def test_a_list_whose_labels_are_not_written_keeps_none_of_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, store = load_job("prepare_dataset"), Store(str(tmp_path / "run"))
    path = tmp_path / "links.csv"
    path.write_text("url,genres\nhttps://example.org/1,Drama\n")
    words = [str(store), "--links", str(path)]
    assert CliRunner().invoke(module.app, words).exit_code == 0
    assert len(tables.read_table(store, "labels")) == 1

    def full(rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare, "labels_table", full)
    assert CliRunner().invoke(module.app, words).exit_code != 0
    assert store.list_files("labels") == []


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("url\nhttps://a.org\n", [], "no column 'genres'. Received: 'url'.*--unlabelled"),
        ("title,genres\nA,Drama\n", [], "no column 'url'. Received: 'title', 'genres'"),
        ("url,genres\nhttps://a.org,Drama,War\n", [], "line 2: 3 cells under 2 columns"),
        ("url,genres\n", [], "is empty"),
        ("url\nhttps://a.org\n", ["--labels", "x.csv"], "--labels needs --metadata"),
        ("url\nhttps://a.org\n", ["--metadata", "x.csv"], "names no movies"),
        ("url\nhttps://a.org\n", ["--metadata", "x.csv", "--unlabelled"], "not both"),
        ("url,title\nhttps://a.org,A\n", ["--metadata", "none.csv"], "There is no file none.csv"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_one_message(
    job: Job, tmp_path: Path, content: str, options: list[str], message: str
) -> None:
    path = tmp_path / "links.csv"
    path.write_text(content)
    ended = job("--links", path, *options)
    assert ended.code == 2
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) == 1
    for part in message.split(".*"):
        assert part in ended.stderr
