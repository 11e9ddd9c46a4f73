"""Names of numbered classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets.annotations.class_names import class_names, description
from pipeline.datasets.annotations.recognition import Tree
from pipeline.errors import DataError


def names(home: Path) -> tuple[str, ...] | None:
    tree = Tree(home)
    return class_names(*description(tree), tree)


@pytest.mark.parametrize(
    "text",
    ["names: [dent, crack]", "names: {1: crack, 0: dent}", "names:\n  '0': dent\n  '1': crack\n"],
)
def test_data_yaml_has_them_as_a_list_or_by_number(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    assert names(tmp_path) == ("dent", "crack")


@pytest.mark.parametrize("file", ["classes.txt", "obj.names"])
def test_a_list_has_one_a_line(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("dent\r\ncrack\r\n\r\n")
    assert names(tmp_path) == ("dent", "crack")


def test_another_yaml_file_counts_where_it_is_the_only_one_with_names(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/parts.yaml").write_text("names: [dent]")
    (tmp_path / "other.yaml").write_text("epochs: 3")
    assert names(tmp_path) == ("dent",)
    (tmp_path / "more.yml").write_text("names: [crack]")
    with pytest.raises(DataError, match=r"has 2 files that name classes \(more\.yml, parts/parts"):
        names(tmp_path)


def test_without_a_file_there_are_no_names(tmp_path: Path) -> None:
    assert names(tmp_path) is None


@pytest.mark.parametrize("text", ["names: []", "names: {1: a}", "names: 3", "names: {0: a, 2: b}"])
def test_names_without_numbers_from_zero_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=r"data\.yaml has names that are not numbered from 0"):
        names(tmp_path)


def test_a_data_yaml_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [a")
    with pytest.raises(DataError, match=r"data\.yaml is not valid YAML"):
        names(tmp_path)
