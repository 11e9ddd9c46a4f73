"""Golden parts: the list fits the data set or is refused, line by line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import golden
from pipeline.errors import DataError

TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "crack", "disposition": "scrap", "aliases": ["broken"]},
        ]
    }
)
TABLE = pd.DataFrame(
    {
        "sample_id": ["a", "b", "c"],
        "path": ["x/a.png", "x/b.png", "x/c.png"],
        "label": ["good", "crack", "good"],
    }
)


def read(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "golden.csv").write_text(text)
    return golden.read(tmp_path / "golden.csv", TABLE, TAXONOMY)


def test_parts_are_named_by_sample_id_or_by_path(tmp_path: Path) -> None:
    assert read(tmp_path, "sample_id,class\nc,good\nx/b.png,broken\nc,\n") == ["c", "b"]


def test_without_a_list_there_are_none(tmp_path: Path) -> None:
    assert golden.read(tmp_path / "golden.csv", TABLE, TAXONOMY) == []


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    golden.write(tmp_path, ["b", "c"])
    assert golden.read(tmp_path / "golden.csv", TABLE, TAXONOMY) == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample_id\na\nz\n", r'golden\.csv:3: "z" is not a part of the data set'),
        (
            "sample_id,class\na,crack\n",
            r'golden\.csv:2: "a" is called crack here, in the data set good',
        ),
        ("sample_id,class\na,crak\n", r'golden\.csv:2: class "crak" is not .* mean "crack"'),
        ("part\na\n", r"golden\.csv:1: the columns are part; the first line must be sample_id"),
        ("", r"golden\.csv is empty; expected a first line that names the columns"),
    ],
)
def test_a_list_that_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, text)


def test_a_list_that_a_spreadsheet_has_saved_is_read(tmp_path: Path) -> None:
    (tmp_path / "golden.csv").write_bytes(
        b"\xef\xbb\xbfsep=;\r\nsample_id;class\r\nb;crack\r\n;\r\n"
    )
    assert golden.read(tmp_path / "golden.csv", TABLE, TAXONOMY) == ["b"]


def test_a_line_with_more_values_than_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'golden\.csv:2 has 2 cells, among them "crack"'):
        read(tmp_path, "sample_id\na,crack\n")
