"""ARFF files: quotes, comments, sparse rows, missing cells, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.links.external import mulan
from trailergenre.links.external.mulan import read_arff

Read = Callable[[str], tuple[list[str], list[list[float]]]]
HEADER = "@relation 'a b'\n@attribute x numeric\n@ATTRIBUTE y {0,1}\n@attribute z real\n@data\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Attribute names and rows of a text."""

    def read_text(text: str) -> tuple[list[str], list[list[float]]]:
        path = tmp_path / "x.arff"
        path.write_text(text, newline="")
        names, matrix = read_arff(path)
        return names, matrix.tolist()

    return read_text


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("1.5,1,-2e3", [1.5, 1, -2000]),
        (" 1.5 , 1 ,-2e3 ", [1.5, 1, -2000]),
        ("1.5,'1',\"3\"", [1.5, 1, 3]),
        ("1.5 , '1' , \"3\" ", [1.5, 1, 3]),
        ("{0 1.5,2 -1}", [1.5, 0, -1]),
        ("{ 2 7, 1 1 }", [0, 1, 7]),
        ("{}", [0, 0, 0]),
    ],
)
def test_dense_and_sparse_rows_are_read(read: Read, line: str, row: list[float]) -> None:
    assert read(HEADER + line)[1] == [row]


def test_comments_blank_lines_and_windows_ends_are_passed_over(read: Read) -> None:
    text = "% made by hand\n\n" + HEADER + "% rows\n\n1,0,2\n"
    assert read(text.replace("\n", "\r\n"))[1] == [[1, 0, 2]]


def test_missing_cells_are_not_numbers(read: Read) -> None:
    (dense, sparse) = read(HEADER + "?,1,1e400\n{0 ?}")[1]
    assert np.isnan(dense[0]) and np.isinf(dense[2])
    assert np.isnan(sparse[0]) and sparse[1:] == [0, 0]


def test_names_may_be_quoted(read: Read) -> None:
    text = "@relation r\n@attribute 'it\\'s, a {name}' numeric\n"
    text += '@attribute "b c" integer\n@attribute d{0,1}\n'
    assert read(text + "@data\n1,2,0")[0] == ["it's, a {name}", "b c", "d"]


def test_words_stand_for_their_place_and_numbers_for_themselves(read: Read) -> None:
    text = "@relation r\n@attribute a {NO, 'YES'}\n@attribute b {2,1}\n@data\n'YES',1\nNO,2\n{1 1}"
    assert read(text)[1] == [[1, 1], [0, 2], [0, 1]]


def test_a_sparse_row_leaves_out_the_first_word(read: Read) -> None:
    text = "@relation r\n@attribute a numeric\n@attribute b {1,0}\n@data\n{0 5}"
    assert read(text)[1] == [[5, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "1,0", "BadDataFormat in line 6, '1,0'"),
        (HEADER + "1,0,2\n1,2,3", "BadNominalValue in line 7"),
        (HEADER + "a,0,1", "BadNumericalValue in line 6"),
        (HEADER + "{3 1}", "BadDataFormat in line 6"),
        (HEADER + "{one 1}", "BadLayout in line 6"),
        (HEADER + "1,'0,2", "BadLayout in line 6"),
        (HEADER + "'\\q',0,1", "ValueError in line 6"),
        (HEADER, "has no rows"),
        ("@relation r\n@data\n1", "BadLayout in line 2"),
        ("@relation r\n@attribute a string\n@data\nb", "BadAttributeFormat in line 2"),
        ("@attribute\n", "BadAttributeFormat in line 1"),
        ("<html>", "BadLayout in line 1"),
        ("", "BadLayout in line 1"),
    ],
)
def test_what_cannot_be_read_is_named_by_line(read: Read, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.arff ") as raised:
        read(text)
    assert message in str(raised.value)


# liac-arff alone would take hours for the first.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "line", [f"@attribute b {{{'0,' * 100_000}0 0}}", f"@data\n1{' ' * 200_000}'1',1,1"]
)
def test_no_line_takes_more_than_linear_time(read: Read, line: str) -> None:
    with pytest.raises(ConfigError, match="in line"):
        read(HEADER.removesuffix("@data\n") + line)


@pytest.mark.parametrize("line", ["{}", "1,0,2"])
def test_more_cells_than_are_allowed_are_refused(
    read: Read, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mulan, "MAX_VALUES", 6)
    assert read(f"{HEADER}{line}\n{line}")[1][0][1] == 0
    with pytest.raises(ConfigError, match="more than 6 values in rows of 3"):
        read(HEADER + f"{line}\n" * 3)
