"""A table of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import csv
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png


def table(home: Path, *lines: str, name: str = "parts.csv") -> Path:
    """A table beside two real images."""
    (home / "img").mkdir(exist_ok=True)
    for i, stem in enumerate("ab"):
        (home / f"img/{stem}.png").write_bytes(encode_png(np.full((4, 4, 3), i, np.uint8)))
    (home / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return home / name


def read(file: Path, columns: dict[str, str] | None = None, **more: Any) -> Listing:
    raw = {"type": "csv", "file": file, "columns": columns or {}, **more}
    return csv.read(csv.Config.model_validate(raw))


def test_a_row_is_a_sample_with_the_path_as_id_and_group(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", "img/a.png,good", "img/b.png,scratch")
    assert read(file) == [
        Sample("img/a.png", "img/a.png", "good", "img/a.png"),
        Sample("img/b.png", "img/b.png", "scratch", "img/b.png"),
    ]


def test_paths_are_relative_to_the_folder_of_the_table(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", "img/a.png,good")
    (only,) = read(file)
    home = csv.root(csv.Config(type="csv", file=file))
    assert (home / only.path).is_file()


def test_all_columns_can_have_other_names(tmp_path: Path) -> None:
    file = table(tmp_path, "Bild,Klasse,Los,Menge,p,Typ,Nr", "img/a.png,gut,L1,val,0.25,X,S1")
    names = ("path", "label", "group", "split", "defect_probability", "variant", "serial")
    columns = dict(zip(names, ["Bild", "Klasse", "Los", "Menge", "p", "Typ", "Nr"], strict=True))
    assert read(file, columns) == [Sample("S1", "img/a.png", "gut", "L1", "X", 0.25, "val")]


def test_columns_that_are_not_configured_are_passed_over(tmp_path: Path) -> None:
    file = table(tmp_path, "operator,path,label,split", "Kim,img/a.png,good,nonsense")
    assert read(file)[0].split == ""


def test_a_serial_that_each_row_has_of_its_own_is_the_id(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,sn", "img/a.png,good,S1", "img/b.png,good,S2")
    assert [(s.id, s.group) for s in read(file, {"serial": "sn"})] == [("S1", "S1"), ("S2", "S2")]


def test_images_of_one_serial_are_one_group_with_ids_of_their_own(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,sn", "img/a.png,good,S1", "img/b.png,good,S1")
    found = [(s.id, s.group) for s in read(file, {"serial": "sn"})]
    assert found == [("img/a.png", "S1"), ("img/b.png", "S1")]


def test_an_empty_probability_is_none(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,p", "img/a.png,good,", "img/b.png,bad,1")
    assert [s.defect_probability for s in read(file, {"defect_probability": "p"})] == [None, 1.0]


def test_a_weight_is_read_and_an_empty_one_is_one(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,w", "img/a.png,good,", 'img/b.png,bad,"0,25"')
    assert [s.weight for s in read(file, {"weight": "w"})] == [1.0, 0.25]


@pytest.mark.parametrize("given", ["0", "1.5", "-1", "much", "nan"])
def test_a_weight_out_of_its_range_is_named_with_its_line(given: str, tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,w", "img/a.png,good,1", f"img/b.png,bad,{given}")
    with pytest.raises(DataError, match=rf':3 has weight "{given}"; expected above 0 to 1'):
        read(file, {"weight": "w"})


def test_an_absolute_path_and_backslashes_become_relative(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", f"{tmp_path}/img/a.png,good", "img\\b.png,good")
    assert [s.path for s in read(file)] == ["img/a.png", "img/b.png"]


def test_semicolons_a_byte_order_mark_and_blank_lines_are_read(tmp_path: Path) -> None:
    file = table(tmp_path, "\ufeffpath;label", "", "img/a.png;good", "")
    assert [s.label for s in read(file, delimiter=";")] == ["good"]


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    file = table(tmp_path, "path,lable", "img/a.png,good")
    with pytest.raises(
        DataError, match=r'parts\.csv has no column "label".*did you mean "lable".*lable, path'
    ):
        read(file)


def test_a_single_column_raises_the_question_of_the_delimiter(tmp_path: Path) -> None:
    file = table(tmp_path, "path;label", "img/a.png;good")
    with pytest.raises(DataError, match=r"is the delimiter ',' right"):
        read(file, delimiter=",")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_by_which_the_first_line_has_the_columns(
    tmp_path: Path, delimiter: str
) -> None:
    rows = (f"path{delimiter}label", f"img/a.png{delimiter}good")
    assert [s.label for s in read(table(tmp_path, *rows))] == ["good"]


def test_a_table_that_a_spreadsheet_has_saved_is_read_and_what_is_passed_over_is_noted(
    tmp_path: Path,
) -> None:
    file = table(tmp_path, "path,label")
    rows = ("sep=;", "path;label;p;", "img/a.png;Öl;0,25;", ";;;", "img/b.png;gut;;;;", ";;;")
    file.write_bytes("\r\n".join(rows).encode("cp1252"))
    found = read(file, {"defect_probability": "p"})
    assert [(s.label, s.defect_probability) for s in found] == [("Öl", 0.25), ("gut", None)]
    assert found.notes == [
        f'{file} is not UTF-8 and was read as cp1252: line 3 reads "img/a.png;Öl;0,25;"; save it '
        "as CSV UTF-8 if a character is wrong",
        f"2 empty row(s) of {file} are passed over",
    ]


def test_a_serial_that_a_spreadsheet_has_rounded_is_refused_with_its_row(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,sn", "img/a.png,good,1.23457E+12")
    with pytest.raises(DataError, match=r'parts\.csv:2 has "1\.23457E\+12" in column "sn": a spr'):
        read(file, {"serial": "sn"})


def test_images_that_the_table_does_not_name_are_counted_or_taken_as_good(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label", "img/a.png,scratch")
    assert read(file).unlisted == ["img/b.png"]
    found = read(file, unlisted="good", good="ok")
    assert [(s.path, s.label) for s in found] == [("img/a.png", "scratch"), ("img/b.png", "ok")]


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label,label", "img/a.png,good,bad")
    with pytest.raises(DataError, match='more than one column "label"'):
        read(file)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("img/b.png,good", r"parts\.csv:3 has 2 cells; the first line names 4 columns"),
        ("img/b.png,,0,test", r'parts\.csv:3 has nothing in column "label"'),
        (",good,0,test", r"parts\.csv:3 has no usable path"),
        ("img/b.png,good,1.5,test", r'parts\.csv:3 has defect probability "1\.5"'),
        ("img/b.png,good,nan,test", r'parts\.csv:3 has defect probability "nan"'),
        ("img/b.png,good,high,test", r'parts\.csv:3 has defect probability "high"'),
        ("img/b.png,good,0,tset", r'parts\.csv:3 has split "tset"; did you mean "test"\?'),
        ("../c.png,good,0,test", r"parts\.csv:3 names \.\./c\.png, which is not in"),
        ("/etc/c.png,good,0,test", r"parts\.csv:3 names /etc/c\.png, which is not in"),
        ("C:\\c.png,good,0,test", r"parts\.csv:3 names C:\\c\.png, which is not in"),
        ("img/./a.png,good,0,test", r"parts\.csv:3 names img/a\.png, as .*parts\.csv:2 did"),
        ('"img/b.png,good,0,test', r"parts\.csv:\d is no CSV: unexpected end"),
    ],
)
def test_a_bad_row_is_reported_with_its_line(tmp_path: Path, row: str, fault: str) -> None:
    file = table(tmp_path, "path,label,p,split", "img/a.png,good,0,train", row)
    with pytest.raises(DataError, match=fault):
        read(file, {"defect_probability": "p", "split": "split"})


def test_a_missing_table_shows_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv \(source\.file in ingest\.yaml\) cannot be"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("lines", "fault"),
    [([], "is empty; expected"), (["path,label", ","], "column names but no rows")],
)
def test_a_table_without_rows_is_refused(tmp_path: Path, lines: list[str], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read(table(tmp_path, *lines))


def test_a_configuration_survives_being_written_down(tmp_path: Path) -> None:
    config = csv.Config(type="csv", file=tmp_path / "a.csv", columns=csv.Columns(group="lot"))
    assert csv.Config.model_validate(config.model_dump(mode="json")) == config
