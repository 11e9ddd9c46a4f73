"""Class folders below given splits."""

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


def test_declared_splits_that_are_not_there_are_told_with_what_is(tmp_path: Path) -> None:
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
