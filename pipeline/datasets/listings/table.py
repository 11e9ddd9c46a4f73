"""Tables as spreadsheet programs write them: CSV in its many forms.

A first line `sep=;`, semicolons, tabs or bars for commas, a byte order mark, UTF-16 or cp1252,
empty rows and empty cells at the end of rows are read; what could be read in two ways is refused
with its row.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import DataError, printable

DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<character>[^"\r\n]?)"?[,;\t ]*(\r\n|\r|\n|$)', re.I)
# What is left of a long number in a spreadsheet that took a text for one.
_ROUNDED = re.compile(r"\d([.,]\d+)?E[+-]\d+", re.I)


@dataclass(frozen=True)
class Table:
    """The cells of a table.

    Attributes:
        header: the names of the columns, without spaces around them.
        rows: line number and cells of each row that is not empty, all as long as the header.
        delimiter: what separates the cells.
        notes: sentences on what was read in another way than plain UTF-8.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]
    delimiter: str
    notes: list[str]


def parse(
    data: bytes, name: str, columns: Sequence[str] = (), delimiter: str | None = None
) -> Table:
    """Read a table.

    Args:
        data: the bytes of the file.
        name: what messages call it.
        columns: names that the header must have, which give the delimiter.
        delimiter: what separates the cells; None: as the header, or a line `sep=`, has it.

    Raises:
        DataError: it is empty or not a table, a row can be read in two ways or has more or fewer
            cells than the header, or the text is in no known encoding; the message has the line.
    """
    text, notes = decoded(data, name)
    declared = _SEPARATOR_LINE.match(text)
    first = 0
    if declared:
        delimiter = _declared(declared["character"], name, delimiter)
        text, first = text[declared.end() :], 1
    delimiter = delimiter or _likely(text, name, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num + first, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num + first} is no CSV: {error}") from None
    filled = [(line, row) for line, row in lines if any(cell.strip() for cell in row)]
    if not filled:
        raise DataError(f"{name} is empty; expected a first line that names the columns")
    (_, header), *rows = filled
    while not header[-1].strip():
        header.pop()
    needed = max((i for i, cell in enumerate(header) if cell.strip() in columns), default=-1)
    rows = [(line, _fitted(row, len(header), needed, f"{name}:{line}")) for line, row in rows]
    # A line without any character is not a row.
    if blank := sum(bool(row) for _, row in lines) - len(filled):
        notes.append(f"{blank} empty row(s) of {name} are passed over")
    return Table([cell.strip() for cell in header], rows, delimiter, notes)


def decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """The text of a file, and sentences on an encoding that is not UTF-8.

    Raises:
        DataError: it is in no known encoding, or its lines are in different ones.
    """
    notes: list[str] = []
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text, notes = _from_cp1252(data, name)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{name}:{line} has zero bytes; save the table as CSV UTF-8")
    return text, notes


def _from_cp1252(data: bytes, name: str) -> tuple[str, list[str]]:
    as_utf8, others = 0, 0
    for number, line in enumerate(data.splitlines(), 1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8-sig")
        except UnicodeDecodeError:
            others = others or number
        else:
            as_utf8 = as_utf8 or number
    if as_utf8 and others:
        raise DataError(
            f"{name}:{others} is not UTF-8, and line {as_utf8} is: two programs have written it; "
            "save it as CSV UTF-8 and look at both lines"
        )
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{name}:{number} is neither UTF-8 nor cp1252 (byte 0x{data[error.start]:02x}); save "
            "it as CSV UTF-8"
        ) from None
    shown = printable(text.splitlines()[others - 1].strip()[:80])
    return text, [
        f'{name} is not UTF-8 and was read as cp1252: line {others} reads "{shown}"; save it as '
        "CSV UTF-8 if a character is wrong"
    ]


def _declared(character: str, name: str, wanted: str | None) -> str:
    if not character:
        raise DataError(f"{name}:1 reads sep= without a character; write sep=; or remove the line")
    if wanted not in (None, character):
        raise DataError(
            f"{name}:1 declares {character!r} as what separates the columns, source.delimiter in "
            f"ingest.yaml {wanted!r}; remove one of the two"
        )
    return character


def _likely(text: str, name: str, columns: Sequence[str]) -> str:
    """The delimiter by which the header has all columns, else the one that makes most of it.

    Raises:
        DataError: there are several.
    """
    header = next((line for line in text.splitlines() if line.strip(f'{DELIMITERS} "')), "")
    cells = {
        d: [c.strip() for c in next(csv.reader([header], delimiter=d), [])] for d in DELIMITERS
    }
    fitting = [d for d in DELIMITERS if columns and set(columns) <= set(cells[d])]
    if len(fitting) > 1 and len(columns) > 1:
        raise DataError(
            f"{name} names the columns {', '.join(columns)} by several delimiters "
            f"({' '.join(map(repr, fitting))}); set source.delimiter in ingest.yaml"
        )
    return max(fitting or DELIMITERS, key=lambda d: len(cells[d]))


def _fitted(row: list[str], n: int, needed: int, where: str) -> list[str]:
    """A row with as many cells as the header has.

    Spreadsheets write empty cells beyond the last column, and leave some out that end a row.
    """
    more = [cell for cell in row[n:] if cell.strip()]
    if more:
        raise DataError(
            f'{where} has {len(row)} cells, among them "{printable(more[0])}"; the first line '
            f"names {n} columns: put a text that has the delimiter in it in quotes"
        )
    if len(row) <= needed:
        raise DataError(f"{where} has {len(row)} cells; the first line names {n} columns")
    return row[:n] + [""] * (n - len(row))


def check_not_rounded(cell: str, column: str, where: str) -> None:
    """Refuse a number that a spreadsheet has rounded, such as 1.23457E+12 for a serial.

    Raises:
        DataError: it is one: several parts may have become the same.
    """
    if _ROUNDED.fullmatch(cell):
        raise DataError(
            f'{where} has "{cell}" in column "{column}": a spreadsheet has taken a text for a '
            "number and rounded it; format the column as text and paste the values again"
        )
