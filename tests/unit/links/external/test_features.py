"""External features in MMTF-14K's and Mulan's formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.links.external import mmtf as mmtf_reader
from trailergenre.links.external.features import ExternalFeatures
from trailergenre.links.external.mmtf import read_mmtf
from trailergenre.links.external.mulan import read_mulan
from trailergenre.links.labelled_links import Part

XML = '<labels xmlns="http://mulan.sourceforge.net/labels">{}</labels>'
ARFF = (
    "@relation r\n@attribute x numeric\n@attribute Sea {{0,1}}\n@attribute Sun {{0,1}}\n@data\n{}"
)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_external(path: Path) -> ExternalFeatures:
    return read_mulan(path) if path.is_dir() else read_mmtf(path)


def mmtf(tmp_path: Path, *rows: str) -> Path:
    return write(tmp_path / "avg.csv", "itemId,title,genres,embedding\n" + "\n".join(rows))


def mulan(tmp_path: Path, **rows: str) -> Path:
    """A dataset `beach`; each keyword is an end of its ARFF files' names."""
    directory = tmp_path / "some where"
    write(directory / "beach.xml", XML.format('<label name="Sea"/><label name="Sun"></label>'))
    for ending, lines in rows.items():
        write(directory / f"beach{ending.replace('_', '-')}.arff", ARFF.format(lines))
    return directory


def test_a_row_of_mmtf_has_a_name_a_title_and_genres(tmp_path: Path) -> None:
    path = mmtf(
        tmp_path, '7,"Jury, The (1999)",Drama|Crime,"1.5,2"', "8,B,(no genres listed),[3; 4]"
    )
    path.write_text(path.read_text().replace("[3; 4]", '"[3, 4]"'))
    data = read_external(path)
    first, second = data.source.rows
    assert (first.url, first.title) == ("published:avg/7", "Jury, The (1999)")
    assert (first.genres, second.genres) == (("Crime", "Drama"), ())
    assert data.features.tolist() == [[1.5, 2], [3, 4]]
    assert data.features.dtype == np.float32
    assert data.parts == [None, None]
    assert (data.settings.width, data.settings.is_external) == (2, True)


def test_cells_that_are_not_finite_take_the_median_and_are_counted(tmp_path: Path) -> None:
    cells = ["1,inf", "3,nan", "-inf,nan", "5,nan", "1e39,nan", "3e15,-nan"]
    data = read_external(mmtf(tmp_path, *(f'{i},t,Drama,"{c}"' for i, c in enumerate(cells))))
    assert data.n_replaced == 2 + 6
    assert data.features[:, 0].tolist() == [1, 3, 4, 5, 4, np.float32(3e15)]
    assert not data.features[:, 1].any()


def test_features_are_known_by_the_content_of_their_files(tmp_path: Path) -> None:
    row = '1,t,Drama,"1,2"'
    first = read_external(mmtf(tmp_path, row)).settings
    again = read_external(mmtf(tmp_path, row)).settings
    other = read_external(mmtf(tmp_path, row.replace("1,2", "1,3"))).settings
    assert first == again
    assert first.fingerprint != other.fingerprint
    assert first.backbone_id.startswith("published:")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['1,t,Drama,"1,2"', '2,t,Drama,"1"'], "row 2: 1 numbers; the first row has 2"),
        (['1,t,Drama,"1,two"'], "row 1: the embedding is not a list of numbers"),
        (["1,t,Drama,"], "row 1: the embedding is not a list of numbers"),
        ([',t,Drama,"1"'], "row 1: the itemId is empty"),
        ([], "has no rows"),
    ],
)
def test_a_csv_that_cannot_be_read_is_named_by_row(
    rows: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_external(mmtf(tmp_path, *rows))


def test_a_csv_of_more_values_than_are_allowed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mmtf(tmp_path, '1,t,Drama,"1,2"', '2,t,Drama,"1,2"')
    monkeypatch.setattr(mmtf_reader, "MAX_VALUES", 4)
    assert len(read_external(path).features) == 2
    monkeypatch.setattr(mmtf_reader, "MAX_VALUES", 3)
    with pytest.raises(ConfigError, match="2 rows of 2 numbers; the limit is 3"):
        read_external(path)


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("trailergenre.links.table_files.MAX_FILE_BYTES", 60, "more than 60 bytes"),
        ("trailergenre.links.external.features.MAX_ROWS", 1, "than 1 lines"),
    ],
)
def test_a_file_that_is_too_large_is_refused(
    name: str, limit: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mmtf(tmp_path, '1,t,Drama,"1,2"', '2,t,Drama,"1,2"', "")
    directory = mulan(tmp_path, _train="5,0,1", _test="5,0,1")
    assert read_external(path) and read_external(directory)
    monkeypatch.setattr(name, limit)
    for published in (path, directory):
        with pytest.raises(ConfigError, match=message):
            read_external(published)


def test_a_csv_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column 'itemId', 'embedding'"):
        read_external(write(tmp_path / "x.csv", "title,genres\na,b\n"))


def test_mulans_official_split_becomes_parts(tmp_path: Path) -> None:
    directory = mulan(tmp_path, _train="1,0,1\n{0 2}", _test="3,1,1")
    write(directory / "beach.arff", "the whole, which is not read where it is split")
    data = read_external(directory)
    assert [row.url for row in data.source.rows] == [
        "published:beach/train/1",
        "published:beach/train/2",
        "published:beach/test/1",
    ]
    assert [row.genres for row in data.source.rows] == [("Sun",), (), ("Sea", "Sun")]
    assert [row.number for row in data.source.rows] == [1, 2, 3]
    assert data.parts == [Part.TRAIN, Part.TRAIN, Part.TEST]
    assert data.features.tolist() == [[1], [2], [3]]


def test_mulans_data_without_a_split_have_no_parts(tmp_path: Path) -> None:
    directory = mulan(tmp_path)
    write(directory / "beach.arff", ARFF.format("?,0,1\n4,1,0\n2,1,0"))
    data = read_external(directory)
    assert data.parts == [None] * 3
    assert data.source.rows[0].url == "published:beach/1"
    assert (data.features.tolist(), data.n_replaced) == ([[3], [4], [2]], 1)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<!DOCTYPE labels [<!ENTITY a 'b'>]>" + XML.format('<label name="&a;"/>'), "document t"),
        (
            ("<!DOCTYPE l SYSTEM 'http://127.0.0.1/x'>" + XML.format("")).encode("utf-16"),
            "declares a document type",
        ),
        (XML.format(""), "names no label, or one twice"),
        (XML.format('<label name="Sea"/><label name="Sea"/>'), "names no label, or one twice"),
        (XML.format('<label name="Sea">'), "is not XML: mismatched tag"),
        (XML.format('<label name="&a;"/>'), "is not XML: undefined entity"),
        (XML.format('<label name="Moon"/>'), "lacks the attributes of the labels ['Moon']"),
        (XML.format('<label name="x"/>'), "labels must be 0 or 1"),
        (
            XML.format('<label name="x"/><label name="Sea"/><label name="Sun"/>'),
            "has no attribute besides the labels",
        ),
    ],
)
def test_label_files_that_cannot_be_used_are_refused(
    xml: str | bytes, message: str, tmp_path: Path
) -> None:
    directory = mulan(tmp_path, _train="5,0,1", _test="5,0,1")
    write(directory / "beach.xml", xml)
    with pytest.raises(ConfigError) as raised:
        read_external(directory)
    assert message in str(raised.value)


def test_labels_below_labels_are_labels(tmp_path: Path) -> None:
    directory = mulan(tmp_path, _train="5,0,1", _test="5,1,1")
    write(directory / "beach.xml", XML.format('<label name="Sea"><label name="Sun"/></label>'))
    assert read_external(directory).source.rows[1].genres == ("Sea", "Sun")


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    directory = mulan(tmp_path, _train="5,0,1")
    with pytest.raises(ConfigError, match=r"beach-test\.arff, or beach\.arff.*: beach-train\.arff"):
        read_external(directory)
    write(directory / "other.xml", XML)
    with pytest.raises(ConfigError, match=r"one XML file .* Received: beach\.xml, other\.xml"):
        read_external(directory)
    with pytest.raises(ConfigError, match=r"one XML file .* Received: none"):
        read_external(tmp_path)


def test_files_of_one_dataset_must_have_the_same_attributes(tmp_path: Path) -> None:
    directory = mulan(tmp_path, _train="5,0,1", _test="5,0,1")
    test = directory / "beach-test.arff"
    test.write_text(test.read_text().replace("@attribute x", "@attribute w"))
    with pytest.raises(ConfigError, match=r"beach-test\.arff has other attributes than beach-tr"):
        read_external(directory)
