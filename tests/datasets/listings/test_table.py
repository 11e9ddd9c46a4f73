"""Tables as spreadsheet programs write them."""

from __future__ import annotations

import pytest

from pipeline.datasets.listings.table import Table, check_not_rounded, decoded, parse
from pipeline.errors import DataError

COLUMNS = ("path", "label")
ROWS = [["a.png", "good"], ["b.png", "dent"]]


def read(text: str, encoding: str = "utf-8", delimiter: str | None = None) -> Table:
    return parse(text.encode(encoding), "list.csv", COLUMNS, delimiter)


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.png,good\nb.png,dent\n",
        "path;label\r\na.png;good\r\nb.png;dent",
        "path\tlabel\ra.png\tgood\rb.png\tdent\r",
        "sep=;\r\npath;label\r\na.png;good\r\nb.png;dent\r\n",
        '"sep=|"\npath|label\na.png|good\nb.png|dent\n',
        "sep=,,\npath,label\na.png,good\nb.png,dent\n",
        "\n;\n path ; label ;;\n\na.png;good;;\n;;;\nb.png;dent\n;\n",
        '"path","label"\n"a.png","good"\n"b.png","dent"\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_same_table_is_read_in_every_form(text: str, encoding: str) -> None:
    table = read(text, encoding)
    assert (table.header, [row for _, row in table.rows]) == (list(COLUMNS), ROWS)


def test_rows_have_the_number_of_their_line_in_the_file() -> None:
    table = read("sep=;\n\npath;label\na.png;good\n;\nb.png;dent\n")
    assert [line for line, _ in table.rows] == [4, 6]
    assert table.notes == ["1 empty row(s) of list.csv are passed over"]


def test_a_cell_in_quotes_may_have_the_delimiter_and_line_breaks() -> None:
    table = read('path,label\n"a,b\n.png",good\n')
    assert table.rows == [(3, ["a,b\n.png", "good"])]


def test_a_row_may_lack_cells_at_its_end_that_nobody_asked_for() -> None:
    assert read("path,label,note\na.png,good\n").rows == [(2, ["a.png", "good", ""])]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("path,label\na.png,good\nb.png\n", r"list\.csv:3 has 1 cells; the first line names 2"),
        ("path,label\na,b.png,good\n", r'list\.csv:2 has 3 cells, among them "good"'),
        ('path,label\n"a.png,good\n', r"list\.csv:2 is no CSV: unexpected end"),
        ("sep=\npath,label\n", r"list\.csv:1 reads sep= without a character"),
        ("", r"list\.csv is empty"),
        ("sep=;\n;;\n", r"list\.csv is empty"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_row(text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read(text)


def test_a_delimiter_that_the_file_declares_otherwise_is_refused() -> None:
    with pytest.raises(DataError, match=r"list\.csv:1 declares ';' as .* ingest\.yaml ','"):
        read("sep=;\npath;label\n", delimiter=",")


def test_a_header_that_has_the_columns_by_two_delimiters_is_refused() -> None:
    with pytest.raises(DataError, match=r"by several delimiters \(',' ';'\)"):
        read("path,label,x;path;label\na.png,good,;;\n")


def test_western_characters_of_a_spreadsheet_are_read_and_shown() -> None:
    table = read("path;label\na.png;Öl € grün\n", "cp1252")
    assert table.rows == [(2, ["a.png", "Öl € grün"])]
    assert 'read as cp1252: line 2 reads "a.png;Öl € grün"' in table.notes[0]


def test_lines_of_two_encodings_are_refused_with_both() -> None:
    data = "path,label\na.png,Öl\n".encode() + "b.png,grün\n".encode("cp1252")
    with pytest.raises(DataError, match=r"list\.csv:3 is not UTF-8, and line 2 is: two programs"):
        decoded(data, "list.csv")


def test_bytes_that_no_encoding_has_are_refused_with_their_line() -> None:
    with pytest.raises(DataError, match=r"list\.csv:2 is neither UTF-8 nor cp1252 \(byte 0x81\)"):
        decoded(b"path,label\na.png,\x81\n", "list.csv")


def test_zero_bytes_are_refused_with_their_line() -> None:
    with pytest.raises(DataError, match=r"list\.csv:1 has zero bytes; save the table as CSV UTF-8"):
        decoded("path,label\n".encode("utf-16-le"), "list.csv")


@pytest.mark.parametrize("cell", ["1.23457E+12", "1,23E+15", "4E+10", "1e-05"])
def test_a_number_that_was_rounded_is_refused(cell: str) -> None:
    with pytest.raises(DataError, match=r'list\.csv:2 has ".*" in column "serial": a spreadsheet'):
        check_not_rounded(cell, "serial", "list.csv:2")


@pytest.mark.parametrize("cell", ["123456789012", "4E10", "E+10", "A1E+12", ""])
def test_other_serials_are_not_taken_for_rounded_numbers(cell: str) -> None:
    check_not_rounded(cell, "serial", "list.csv:2")
