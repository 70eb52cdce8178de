from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from trailergenre.base.errors import ConfigError, ForeignFileError
from trailergenre.base.storage import Store
from trailergenre.reports import pages
from trailergenre.reports.pages import PAGE_MARK, RECORD_MARK, ReportFile, render_page


def with_template(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let `page.html` be this; the others stay."""
    read = pages._read_template
    monkeypatch.setattr(
        pages, "_read_template", lambda name: text if name == "page.html" else read(name)
    )
    pages._environment.cache_clear()


def page(content: str) -> str:
    return (
        "{% extends 'base.html' %}{% import 'parts.html' as parts %}"
        "{% block title %}T{% endblock %}{% block content %}" + content + "{% endblock %}"
    )


def test_values_are_escaped_and_only_web_addresses_are_links(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_template(monkeypatch, page("{{ a }}{{ parts.address(b) }}{{ parts.address(c) }}"))
    record = {"a": "<script>", "b": "https://a.example/?x='\"<", "c": "javascript:alert(1)"}
    html = render_page("page.html", record)
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert 'href="https://a.example/?x=&#39;&#34;&lt;"' in html
    assert "<bdi>javascript:alert(1)</bdi>" in html
    assert html.count("href=") == 2  # the icon's


def test_what_a_template_misses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_template(monkeypatch, page("{{ missing }}"))
    with pytest.raises(UndefinedError, match="missing"):
        render_page("page.html", {})


def test_bars_fill_the_height_and_marks_stand_between(monkeypatch: pytest.MonkeyPatch) -> None:
    with_template(monkeypatch, page("{{ parts.columns(values, [1], 'two values') }}"))
    html = render_page("page.html", {"values": [4, 1]})
    assert 'aria-label="two values"' in html
    assert 'y="0.0" width=".88" height="100.0"' in html
    assert 'y="75.0" width=".88" height="25.0"' in html
    assert html.count("<line") == 1


def test_a_page_that_could_not_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for page in (tmp_path, tmp_path / "absent" / "out.html", tmp_path / "file" / "out.html"):
        with pytest.raises(ConfigError, match="cannot be written") as raised:
            ReportFile.named(page)
        assert str(page) in str(raised.value)
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_page_is_written_where_it_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for page in (Path("out.html"), Path("~/out.html")):
        page.parent.mkdir(exist_ok=True)
        for html in (f"{PAGE_MARK}<p>old", f"{PAGE_MARK}<p>\u00e9"):
            ReportFile.named(page).write(html)
        assert (tmp_path / page).read_text(encoding="utf-8") == html
    assert not (tmp_path / "home").exists()


def test_a_page_never_takes_the_place_of_what_is_no_file(tmp_path: Path) -> None:
    pipe, loop, link = tmp_path / "pipe", tmp_path / "loop", tmp_path / "link"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    link.symlink_to(pipe)
    reasons = {
        pipe: "not a regular file",
        link: "not a regular file",
        Path(os.devnull): "not a regular file",
        loop: "symbolic links",
    }
    for page, reason in reasons.items():
        with pytest.raises(ConfigError, match=f"cannot be written to {page}: .*{reason}"):
            ReportFile.named(page)
    assert pipe.is_fifo()


def test_a_page_is_written_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    page, target = tmp_path / "page.html", tmp_path / "kept" / "target.html"
    page.symlink_to(Path("kept", "target.html"))
    for html in (f"{PAGE_MARK}<p>first", f"{PAGE_MARK}<p>second"):
        ReportFile.named(page).write(html)
        assert page.is_symlink()
        assert target.read_text() == html


@pytest.mark.parametrize("content", ["mine", "", " " * 1000 + PAGE_MARK, RECORD_MARK])
def test_what_is_no_page_of_ours_is_not_replaced(content: str, tmp_path: Path) -> None:
    target, link = tmp_path / "target.html", tmp_path / "link.html"
    target.write_text(content)
    link.symlink_to(target)
    for file in (target, link):
        page = ReportFile.named(file)
        for use in (page.check, lambda: page.write(PAGE_MARK)):  # noqa: B023
            with pytest.raises(ForeignFileError, match=r"target\.html was not .*name another file"):
                use()
    assert target.read_text() == content
    assert link.is_symlink()


def test_pages_carry_their_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    with_template(monkeypatch, page(""))
    assert PAGE_MARK in render_page("page.html", {})[:300]


def test_the_neighbours_of_a_page_are_the_other_reports_in_its_directory(tmp_path: Path) -> None:
    score, run = ReportFile.named(tmp_path / "score.html"), Store(str(tmp_path))
    assert score.neighbours() == {}
    (tmp_path / "run.html").write_text("mine")
    (tmp_path / "evaluation.html").mkdir()
    assert score.neighbours() == {}
    (tmp_path / "run.html").write_text(PAGE_MARK)
    (tmp_path / "evaluation.html").rmdir()
    (tmp_path / "evaluation.html").write_text(PAGE_MARK)
    assert score.neighbours() == {"run.html": "Run report", "evaluation.html": "Evaluation"}
    assert ReportFile(run, "run.html").neighbours() == {"evaluation.html": "Evaluation"}
    assert ReportFile(run, "reports/run.html").neighbours() == {}


def test_a_page_links_to_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    with_template(monkeypatch, page(""))
    html = render_page("page.html", {}, neighbours={"run.html": "Run report"})
    assert '<a href="run.html">Run report</a>' in html
    assert "<nav" not in render_page("page.html", {})


def test_a_link_into_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.symlink_to(tmp_path / "absent" / "target.html")
    with pytest.raises(ConfigError, match="No such file or directory"):
        ReportFile.named(page)


def test_templates_are_read_from_a_zip(repository: Path, tmp_path: Path) -> None:
    """As executors have the package."""
    archive = shutil.make_archive(
        str(tmp_path / "trailergenre"), "zip", repository / "lib", "trailergenre"
    )
    code = (
        "import trailergenre; assert '.zip' in trailergenre.__file__\n"
        "from trailergenre.reports.pages import _environment\n"
        "assert _environment().get_template('run.html').blocks"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": archive},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
