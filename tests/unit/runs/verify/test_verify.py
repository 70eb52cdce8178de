from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from runs import SETTINGS, link_id, write_features
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.runs import tables
from trailergenre.runs.kept_frames import FramesWriter, KeptFrames
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.outcome_row import OutcomeRow
from verified import FP, Run, cut, empty, flip, found, make_verified, notes, zero


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return make_verified(tmp_path, monkeypatch)


def make_kept(store: Store, id_: str, file: Path) -> None:
    """Keep one frame of a link."""
    kept = KeptFrames(store, SETTINGS.frames_key, keeps_new=True)
    frames = FramesWriter(file, kept.place(id_), FORM)
    frames.add(np.full((1, 299, 299, 3), 7, np.uint8))
    frames.close(OutcomeRow(id_, frames=1))
    kept.keep(frames)


def test_a_whole_run_holds(run: Run) -> None:
    report = run.verify()
    assert found(report) == {}
    assert (report.links, report.frames) == (6, 15)
    assert report.by_outcome == {"ok": 5, "not_media": 1}
    assert {check.invariant for check in report.checks} == {f"I{n}" for n in range(1, 7)}
    assert "not recorded" in notes(report)


@pytest.mark.parametrize("damage", [cut, zero, flip, empty])
def test_a_damaged_outcomes_file_is_named(run: Run, damage: Callable[[Run, str], str]) -> None:
    (file,) = run.store.list_files(f"outcomes/{FP}")
    damage(run, file.path)
    report = run.verify()
    (offender,) = found(report)["I3 outcomes files match their names"]
    assert file.path in offender
    assert report.content_hash is None
    # Its links have no outcome any more, and are named too.
    assert len(found(report)["I1 every ready link has one outcome"]) == 5


@pytest.mark.parametrize("damage", [cut, zero, flip, empty])
def test_damaged_kept_frames_are_named_and_foreign_files_among_them(
    run: Run, damage: Callable[[Run, str], str], tmp_path: Path
) -> None:
    (listed, *_) = tables.read_table(run.store, "links").to_pylist()
    for id_ in (listed["link_id"], "0" * 64):
        make_kept(run.store, id_, tmp_path / "file")
    assert found(run.verify()) == {}
    assert "frames of 1 links of an earlier list are kept" in notes(run.verify())
    path = f"frames/{SETTINGS.frames_key}/{listed['link_id']}"
    damage(run, path)
    run.store.write_bytes(f"frames/{SETTINGS.frames_key}/notes.txt", b"mine")
    ((first, second),) = found(run.verify()).values()
    assert f"{path} below {run.store} was changed or truncated" in first
    assert "notes.txt (4 bytes): not a name of this package" in second


def test_a_missing_outcomes_file_leaves_its_links_without_outcome(run: Run) -> None:
    (file,) = run.store.list_files(f"outcomes/{FP}")
    run.store.delete(file.path)
    report = run.verify()
    (check,) = (check for check in report.checks if not check.holds)
    assert (check.n_offenders, len(check.offenders)) == (6, 5)
    assert "Run `trailergenre featurize` again" in "\n".join(report.lines())


def test_a_damaged_list_is_named(run: Run) -> None:
    cut(run, "links/table.parquet")
    ((offender,),) = found(run.verify()).values()
    assert "links/table.parquet" in offender


def test_a_run_without_a_list_is_no_run(run: Run) -> None:
    run.store.delete("links/table.parquet")
    with pytest.raises(ConfigError, match="trailergenre prepare"):
        run.verify()


@pytest.mark.parametrize(
    ("edit", "claim", "part"),
    [
        (lambda rows: rows[0].update(row_outcome="vanished"), "input row", "'vanished'"),
        (lambda rows: rows[0].update(link_id=None), "input row", "without a link_id"),
        (lambda rows: rows.append(dict(rows[0])), "input row", "is there twice"),
        (lambda rows: rows.append({**rows[0], "row": 99, "link_id": "new"}), "link", "new has"),
    ],
)
def test_every_row_of_the_list_is_accounted_for(
    run: Run, edit: Callable[[list[dict[str, Any]]], object], claim: str, part: str
) -> None:
    run.replace_links(edit)
    offenders = found(run.verify())
    # The labels are of the list as it was.
    offenders.pop("I1 labels match the list", None)
    ((name, (offender,)),) = offenders.items()
    assert name.startswith("I1")
    assert claim in name
    assert part in offender


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (
            lambda rows: rows[0].update(genres=["Western"]),
            "genres, movie or title of its label differ",
        ),
        (
            lambda rows: rows[0].update(movie_id="tt0000001"),
            "genres, movie or title of its label differ",
        ),
        (
            lambda rows: rows[0].update(title="Another"),
            "genres, movie or title of its label differ",
        ),
        (lambda rows: rows.append({**rows[0], "link_id": "old"}), "link old: a label, but no"),
        (lambda rows: rows.append(dict(rows[0])), "is there twice"),
        (lambda rows: rows.pop(0), "genres, but no label"),
    ],
)
def test_labels_of_another_list_are_found(
    run: Run, edit: Callable[[list[dict[str, Any]]], object], part: str
) -> None:
    run.replace_labels(edit)
    report = run.verify()
    ((offender,),) = found(report).values()
    assert part in offender
    assert "labels match the list" in "\n".join(report.lines())


def test_labels_that_were_never_written_are_found_where_the_list_has_genres(run: Run) -> None:
    run.store.delete("labels/table.parquet")
    assert len(found(run.verify())["I1 labels match the list"]) == 5
    # A list that is only to be scored has none.
    run.replace_links(lambda rows: [row.update(genres=[]) for row in rows])
    assert found(run.verify()) == {}


def test_a_label_without_a_known_movie_is_its_links(run: Run) -> None:
    run.replace_links(lambda rows: [row.update(movie_id=None) for row in rows])
    run.replace_labels(lambda rows: [row.update(movie_id=row["link_id"]) for row in rows])
    assert found(run.verify()) == {}
    # Several links of one title are one movie.
    run.replace_labels(lambda rows: [row.update(movie_id="title:up (2009)") for row in rows])
    assert found(run.verify()) == {}


def test_damaged_labels_are_named(run: Run) -> None:
    cut(run, "labels/table.parquet")
    offenders = found(run.verify())["I1 labels match the list"]
    assert "labels/table.parquet" in offenders[0]


def test_a_damaged_list_hides_no_damaged_labels(run: Run) -> None:
    cut(run, "links/table.parquet")
    report = run.verify()
    assert "I1 labels match the list" not in found(report)
    assert "not compared: the list cannot be read" in "\n".join(report.lines())
    cut(run, "labels/table.parquet")
    (offender,) = found(run.verify())["I1 labels match the list"]
    assert "labels/table.parquet" in offender


def test_a_failure_without_a_reason_is_found(run: Run) -> None:
    run.replace_outcomes(lambda rows: [row.update(detail="") for row in rows])
    ((offender,),) = found(run.verify()).values()
    assert f"link {link_id('broken')}: not_media, without a reason" in offender


def test_outcomes_of_an_older_list_and_deferrals_are_told_and_no_offence(run: Run) -> None:
    gone = run.movies[0].link.link_id
    for replace in (run.replace_links, run.replace_labels):
        replace(lambda rows: rows.remove(next(r for r in rows if r["link_id"] == gone)))
    run.replace_outcomes(lambda rows: [r.update(outcome="deferred") for r in rows if r["detail"]])
    report = run.verify()
    assert found(report) == {}
    assert "1 outcomes belong to links of an earlier list" in notes(report)
    assert "1 links are deferred" in notes(report)
    assert report.by_outcome == {"ok": 4, "deferred": 1}


def test_an_orphan_is_noted_and_a_foreign_file_fails(run: Run) -> None:
    orphan = write_features(run.store, FP, {"x": np.ones((2, 2048), np.float32)})["features_file"]
    report = run.verify()
    assert found(report) == {}
    assert str(orphan) in notes(report)
    run.store.write_bytes(f"features/{FP}/thesis.txt", b"mine")
    run.store.write_bytes(f"features/{FP}/{'0' * 64}.parquet", b"PAR1")
    offenders = found(run.verify())["I4 no foreign files among the features"]
    assert [name in offender for name, offender in zip("0t", offenders, strict=True)] == [True] * 2


def test_a_foreign_file_among_the_outcomes_is_found(run: Run) -> None:
    run.store.write_bytes(f"outcomes/{FP}/notes.txt", b"mine")
    ((offender,),) = found(run.verify()).values()
    assert "notes.txt" in offender


@pytest.mark.parametrize(
    "path",
    [
        f"features/{FP}/.unfinished-abc",
        "videos/key/.unfinished-abc",
        f"scores/{64 * '0'}.parquet",
    ],
)
def test_what_a_killed_writer_left_is_found_and_a_living_ones_is_not(run: Run, path: str) -> None:
    run.store.write_bytes(path, b"half")
    ((offender,),) = found(run.verify()).values()
    assert path in offender
    with hold_lease(run.store, "featurize"):
        report = run.verify()
    assert found(report) == {}
    assert "a job is at work: featurize on" in notes(report)


def test_scratch_of_a_dead_process_is_found(run: Run, tmp_path: Path) -> None:
    dead = tmp_path / "tmp" / "trailergenre-dead"
    dead.mkdir()
    (dead / ".trailergenre-scratch").touch()
    ((offender,),) = found(run.verify()).values()
    assert offender == str(dead)


def command(*words: str) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of `trailergenre verify`."""
    ended = CliRunner().invoke(app, ["verify", *words])
    return ended.exit_code, ended.stdout, ended.stderr


def test_the_command_reports_success_and_changes_nothing(run: Run) -> None:
    before = run.store.list_all_files("")
    code, shown, _ = command(str(run.store))
    assert (code, f"content hash: {run.verify().content_hash}" in shown) == (0, True)
    assert run.store.list_all_files("") == before


def test_the_command_names_damage_says_what_to_do_and_exits_with_1(run: Run) -> None:
    path = cut(run, run.features_files()[0])
    code, shown, _ = command(str(run.store))
    assert code == 1
    assert "FAILS  I3  features files match their rows" in shown
    assert path in shown
    assert "Restore the features file from a copy, or delete it and run" in shown
    code, shown, _ = command(str(run.store), "--json")
    record = json.loads(shown)
    assert (code, record["holds"]) == (1, False)
    assert path in shown


def test_links_of_deleted_files_are_reported_as_open(run: Run) -> None:
    for directory in ("features", "outcomes"):
        for file in run.store.list_files(f"{directory}/{FP}"):
            run.store.delete(file.path)
    code, shown, _ = command(str(run.store), "--json")
    (wrong,) = (check for check in json.loads(shown)["checks"] if not check["holds"])
    assert (code, wrong["invariant"], wrong["found"]) == (1, "I1", 6)
    assert "it takes the links without an outcome" in command(str(run.store))[1]


def test_a_missing_run_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    code, shown, error = command(str(tmp_path / "nothing"))
    assert (code, shown) == (2, "")
    assert error.startswith("error: There is no run at")
    assert len(error.splitlines()) == 1
    assert command()[0] == 2
