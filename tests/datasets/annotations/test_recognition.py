"""The files of a folder as adapters look at them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from pipeline.datasets.adapters import csv
from pipeline.datasets.annotations.recognition import Recognition, Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("a/b/1.PNG", "a/1.json", "2.jpg", "x.csv", ".hidden/3.png", "a/._1.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return Tree(tmp_path)


def names(paths: object) -> list[str]:
    assert isinstance(paths, list | tuple)
    return [str(path) for path in paths]


def test_files_that_never_are_parts_are_left_out(tree: Tree) -> None:
    assert names(tree.files) == ["2.jpg", "a/1.json", "a/b/1.PNG", "x.csv"]


def test_images_are_known_by_their_ending_whatever_its_case(tree: Tree) -> None:
    assert names(tree.images) == ["2.jpg", "a/b/1.PNG"]


def test_folders_are_those_directly_in_the_folder(tree: Tree) -> None:
    assert tree.folders == ("a",)


def test_files_of_an_ending_can_be_asked_for_by_depth(tree: Tree) -> None:
    assert names(tree.ending(".json", ".csv")) == ["a/1.json", "x.csv"]
    assert names(tree.ending(".json", ".csv", depth=0)) == ["x.csv"]


def test_images_below_a_folder_are_those_of_its_folders_too(tree: Tree) -> None:
    assert names(tree.images_below("a")) == ["a/b/1.PNG"]


def test_json_is_read_with_a_byte_order_mark(tree: Tree) -> None:
    (tree.home / "a/1.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert tree.json(PurePosixPath("a/1.json")) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_nothing(tree: Tree, content: bytes) -> None:
    (tree.home / "a/1.json").write_bytes(content)
    assert tree.json(PurePosixPath("a/1.json")) is None


def test_settings_are_what_ingest_yaml_needs_and_nothing_that_is_a_default(tmp_path: Path) -> None:
    config = csv.Config(type="csv", file=tmp_path / "t.csv", columns=csv.Columns(path="file"))
    assert Recognition(config, "").settings == {
        "type": "csv",
        "file": str(tmp_path / "t.csv"),
        "columns": {"path": "file"},
    }
