"""ARFF files as they are found: quotes, comments, sparse rows, missing cells."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.links.external import arff as reader
from trailergenre.links.external.arff import parse_arff

HEADER = "@relation 'a b'\n@attribute x numeric\n@ATTRIBUTE y {0,1}\n@attribute z real\n@data\n"


def rows(text: str) -> list[list[float]]:
    return [list(map(float, row)) for row in parse_arff(text, name="x.arff").matrix]


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
def test_dense_and_sparse_rows_are_read(line: str, row: list[float]) -> None:
    assert rows(HEADER + line) == [row]


def test_comments_blank_lines_and_windows_ends_are_passed_over() -> None:
    text = "% made by hand\n\n" + HEADER + "% rows\n\n1,0,2\n"
    assert rows(text.replace("\n", "\r\n")) == [[1, 0, 2]]


def test_missing_cells_are_not_numbers() -> None:
    (dense, sparse) = rows(HEADER + "?,1,1e400\n{0 ?}")
    assert np.isnan(dense[0]) and np.isinf(dense[2])
    assert np.isnan(sparse[0]) and sparse[1:] == [0, 0]


def test_names_may_be_quoted() -> None:
    text = "@attribute 'it\\'s, a {name}' numeric\n@attribute \"b c\" integer\n@attribute d{0,1}\n"
    arff = parse_arff(text + "@data\n1,2,0", name="x.arff")
    assert [attribute.name for attribute in arff.attributes] == ["it's, a {name}", "b c", "d"]


def test_words_stand_for_their_place_and_numbers_for_themselves() -> None:
    text = "@attribute a {NO, 'YES, SIR'}\n@attribute b {2,1}\n@data\n'YES, SIR',1\nNO,2\n{1 1}"
    assert rows(text) == [[1, 1], [0, 2], [0, 1]]


def test_a_sparse_row_leaves_out_the_first_word() -> None:
    assert rows("@attribute a numeric\n@attribute b {1,0}\n@data\n{0 5}") == [[5, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "1,0", "line 6: 2 cells for 3 attributes"),
        (HEADER + "1,0,2\n1,2,3", "line 7: '2' is not among the words of 'y'"),
        (HEADER + "a,0,1", "line 6: could not convert string to float: 'a'"),
        (HEADER + "{3 1}", "line 6: cell 3 stands twice or is beyond 3"),
        (HEADER + "{1 1,1 1}", "line 6: cell 1 stands twice"),
        (HEADER + "{one 1}", "'one 1' is not a place and a value"),
        (HEADER + "1  '0',1,2", "the quotes are wrong at \"1  '0',1,2\""),
        (HEADER + "1,'0,2", 'the quotes are wrong at "\'0,2"'),
        (HEADER, "3 attributes and 0 rows"),
        ("@data\n1", "line 2: 1 cells for 0 attributes"),
        ("@attribute a string\n@data\nb", "line 1: 'a' is 'string', neither numeric nor nominal"),
        ("@attribute\n", "names no attribute"),
        ("<html>", "line 1: '<html>' is no part of a header"),
        ("", "0 attributes and 0 rows"),
    ],
)
def test_what_cannot_be_read_is_named_by_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_arff(text, name="x.arff")
    assert str(raised.value).startswith("x.arff")
    assert message in str(raised.value)


def test_a_line_of_spaces_before_a_quote_takes_no_time() -> None:
    code = (
        "from trailergenre.links.external.arff import parse_arff\n"
        "parse_arff('@attribute x numeric\\n@data\\n1' + ' ' * 200_000 + \"'1'\", name='x.arff')"
    )
    # A process of its own: nothing else ends a search that does not end by itself.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "the quotes are wrong" in done.stderr


@pytest.mark.parametrize("line", ["{}", "1,0,2"])
def test_more_cells_than_are_allowed_are_refused(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_VALUES", 6)
    assert rows(f"{HEADER}{line}\n{line}")[0][1] == 0
    with pytest.raises(ConfigError, match="line 8: more than 6 values, in rows of 3"):
        rows(HEADER + f"{line}\n" * 3)
