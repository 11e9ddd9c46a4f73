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
    put(tmp_path, "bad/b.png")
    _, only = samples(tmp_path)
    assert (only.label, only.path) == ("good", "good/line1/monday/a.png")


def test_ids_are_unique_for_one_stem_in_two_formats_and_two_classes(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/1.jpg", "b/1.png", "b/x/1.png")
    assert len({s.id for s in samples(tmp_path)}) == 4


def test_endings_in_capitals_count(tmp_path: Path) -> None:
    put(tmp_path, "a/1.PNG", "a/2.JpG")
    assert len(samples(tmp_path)) == 2


def test_companions_and_hidden_files_are_passed_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "a/1.png", "a/notes.txt", "a/Thumbs.db", "a/list.csv", "readme.md", "setup.cfg")
    put(tmp_path, ".git/b.png", "a/._1.png", "a/.ipynb_checkpoints/1.png", "__MACOSX/a/._1.png")
    assert [s.path for s in samples(tmp_path)] == ["a/1.png"]
    assert caplog.messages == []


def test_images_beside_the_class_folders_are_an_error(tmp_path: Path) -> None:
    put(tmp_path, "good/1.png", "stray.jpg", "other.png")
    with pytest.raises(DataError, match=r"has 2 image\(s\) beside its folders, such as other\.png"):
        samples(tmp_path)


def test_images_beside_the_class_folders_of_a_split_are_an_error(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/good/1.png", "test/stray.png")
    with pytest.raises(DataError, match=r"test has 1 image\(s\) beside its folders"):
        samples(tmp_path)


def test_a_class_whose_files_are_all_of_unknown_kind_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "good/1.png", "bad/1.gif", "bad/2.gif", "bad/notes.txt")
    with pytest.raises(DataError, match=r"bad has no image, but 2 other .* 1\.gif; convert them"):
        samples(tmp_path)


def test_files_of_unknown_kind_among_images_are_named_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "good/1.png", "good/2.heic", "good/raw/3.heic")
    assert [s.path for s in samples(tmp_path)] == ["good/1.png"]
    (said,) = caplog.messages
    assert "2 file(s) passed over whose format is not supported, such as good/2.heic" in said


def test_a_class_folder_that_is_empty_is_named_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "good/1.png", "bad/notes.txt")
    (tmp_path / "dent").mkdir()
    assert [s.label for s in samples(tmp_path)] == ["good"]
    assert caplog.messages == [f"{tmp_path}: no image in bad, dent"]


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
    put(tmp_path, "good/a.txt", "bad/b.csv")
    with pytest.raises(DataError, match=r"class folders \(bad, good\) but no image.*\.png"):
        samples(tmp_path)
