"""One folder a class, or class folders below given splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import folder
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_png(np.zeros((4, 4, 3), np.uint8)))
    return root


def samples(root: Path, layout: str = "auto") -> list[Sample]:
    return folder.read(
        folder.Config.model_validate({"type": "folder", "root": root, "layout": layout})
    )


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


def test_given_splits_are_kept_and_the_class_is_the_folder_below(tmp_path: Path) -> None:
    put(tmp_path, "test/bad/1.png", "train/good/x/1.png", "val/good/1.png")
    assert [(s.path, s.label, s.split) for s in samples(tmp_path)] == [
        ("train/good/x/1.png", "good", "train"),
        ("val/good/1.png", "good", "val"),
        ("test/bad/1.png", "bad", "test"),
    ]


def test_train_and_test_alone_are_splits_too(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/good/1.png")
    assert [s.split for s in samples(tmp_path)] == ["train", "test"]


def test_hidden_folders_beside_splits_do_not_matter(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/good/1.png", ".cache/x/1.png")
    assert [s.split for s in samples(tmp_path)] == ["train", "test"]


@pytest.mark.parametrize("stray", ["good/1.png", "extra/good/1.png"])
def test_another_folder_beside_splits_is_named(tmp_path: Path, stray: str) -> None:
    put(tmp_path, "train/good/1.png", "test/good/1.png", stray)
    with pytest.raises(DataError, match=r"looks like a split but holds (good|extra) too; move it"):
        samples(tmp_path)


@pytest.mark.parametrize("layout", ["auto", "splits"])
@pytest.mark.parametrize("val", ["valid", "Validation", "VAL"])
def test_splits_by_other_spellings_are_kept(tmp_path: Path, val: str, layout: str) -> None:
    put(tmp_path, "Train/good/1.png", f"{val}/good/1.png", "TEST/bad/1.png")
    assert [(s.path, s.label, s.split) for s in samples(tmp_path, layout)] == [
        ("Train/good/1.png", "good", "train"),
        (f"{val}/good/1.png", "good", "val"),
        ("TEST/bad/1.png", "bad", "test"),
    ]


def test_two_folders_of_one_split_are_named(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "test/a/1.png", "val/a/1.png", "valid/a/1.png")
    with pytest.raises(DataError, match="val and valid, both of which mean val"):
        samples(tmp_path)


def test_the_wrapping_folder_of_an_archive_is_named(tmp_path: Path) -> None:
    put(tmp_path, "parts/good/1.png", "parts/bad/1.png")
    with pytest.raises(DataError, match=rf"set source\.root to {tmp_path}/parts"):
        samples(tmp_path)


def test_train_and_test_without_folders_in_them_are_classes(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", "test/1.png")
    assert [(s.label, s.split) for s in samples(tmp_path)] == [("test", ""), ("train", "")]


def test_folders_named_like_splits_can_be_declared_classes(tmp_path: Path) -> None:
    put(tmp_path, "train/day1/1.png", "test/day1/1.png")
    assert [s.label for s in samples(tmp_path, "classes")] == ["test", "train"]


def test_declared_splits_that_are_not_there_are_named_with_those_that_are(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "valid/good/1.png")
    with pytest.raises(
        DataError, match=r"holds train, valid; source\.layout splits expects exactly"
    ):
        samples(tmp_path, "splits")


def test_a_declared_split_without_class_folders_is_named(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/1.png")
    with pytest.raises(DataError, match=r"test has no folders; source\.layout splits expects"):
        samples(tmp_path, "splits")


def test_splits_without_images_name_their_class_folders(tmp_path: Path) -> None:
    for name in ("train/good", "test/good"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"class folders \(train/good, test/good\) but no image"):
        samples(tmp_path)


def test_images_beside_the_class_folders_of_a_split_are_an_error(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/good/1.png", "test/stray.png")
    with pytest.raises(DataError, match=r"test has 1 image\(s\) beside its folders"):
        samples(tmp_path)


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


def test_a_root_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders; expected one a class"):
        samples(put(tmp_path, "a.png"))


def test_class_folders_without_images_are_named_with_known_endings(tmp_path: Path) -> None:
    put(tmp_path, "good/a.txt", "bad/b.csv")
    with pytest.raises(DataError, match=r"class folders \(bad, good\) but no image.*\.png"):
        samples(tmp_path)


def test_augmented_copies_of_one_original_are_one_group_across_splits(tmp_path: Path) -> None:
    names = [f"a_jpg.rf.{digit * 32}.jpg" for digit in "01"]
    put(tmp_path, f"train/ok/{names[0]}", f"test/ok/{names[1]}", "train/ng/b.jpg", "test/ng/b.jpg")
    groups = {s.path: s.group for s in samples(tmp_path)}
    assert groups[f"train/ok/{names[0]}"] == groups[f"test/ok/{names[1]}"] == "ok/a_jpg"
    assert len(set(groups.values())) == 3
