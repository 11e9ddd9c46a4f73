"""One folder a class."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import folder
from pipeline.errors import DataError


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def samples(root: Path) -> list[Sample]:
    return folder.read(folder.Config(type="folder", root=root))


def test_the_class_is_the_folder_and_the_path_is_below_the_root(tmp_path: Path) -> None:
    put(tmp_path, "good/a.png")
    assert samples(tmp_path) == [
        Sample(id="good/a.png", path="good/a.png", label="good", group="good/a.png")
    ]


def test_classes_and_images_come_in_name_order(tmp_path: Path) -> None:
    put(tmp_path, "b/2.png", "b/10.png", "a/z.png", "c/1.png")
    assert [s.path for s in samples(tmp_path)] == ["a/z.png", "b/10.png", "b/2.png", "c/1.png"]


def test_images_in_folders_of_a_class_belong_to_the_class(tmp_path: Path) -> None:
    put(tmp_path, "good/line1/monday/a.png")
    (only,) = samples(tmp_path)
    assert (only.label, only.path) == ("good", "good/line1/monday/a.png")


def test_ids_are_unique_for_one_stem_in_two_formats_and_two_classes(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/1.jpg", "b/1.png", "b/x/1.png")
    assert len({s.id for s in samples(tmp_path)}) == 4


def test_endings_in_capitals_count(tmp_path: Path) -> None:
    put(tmp_path, "a/1.PNG", "a/2.JpG")
    assert len(samples(tmp_path)) == 2


def test_other_files_and_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/notes.txt", ".git/b.png", "readme.png")
    assert [s.path for s in samples(tmp_path)] == ["a/1.png"]


def test_a_missing_root_shows_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is not a folder \(source\.root in ingest\.yaml"):
        samples(tmp_path / "nowhere")


def test_a_file_in_place_of_the_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        samples(put(tmp_path, "a.png") / "a.png")


def test_a_root_without_class_folders_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders; expected one a class"):
        samples(put(tmp_path, "a.png"))


def test_class_folders_without_images_are_named_with_known_endings(tmp_path: Path) -> None:
    put(tmp_path, "good/a.txt", "bad/b.gif")
    with pytest.raises(DataError, match=r"class folders \(bad, good\) but no image.*\.png"):
        samples(tmp_path)
