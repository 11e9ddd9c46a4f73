"""Augmented copies of one original are one group."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from pipeline.datasets.annotations.originals import original

OLD, NEW = "0123456789abcdef0123456789abcdef", "aB3-_xYz0Q9kLmN"


@pytest.mark.parametrize(
    ("path", "group"),
    [
        (f"a_jpg.rf.{OLD}.jpg", "a_jpg"),
        (f"a.rf.{NEW}.jpg", "a"),
        (f"good/a_png.rf.{OLD}.png", "good/a_png"),
        ("a.jpg", "a.jpg"),
        ("good/rf.jpg", "good/rf.jpg"),
        ("a.rf.1.jpg", "a.rf.1.jpg"),
    ],
)
def test_the_group_is_the_name_before_the_hash(path: str, group: str) -> None:
    assert original(PurePosixPath(path)) == group


def test_a_copy_in_another_split_is_of_the_same_group() -> None:
    one = original(PurePosixPath(f"train/images/a_jpg.rf.{OLD}.jpg"), "train")
    two = original(PurePosixPath(f"valid/images/a_jpg.rf.{NEW}.jpg"), "valid")
    assert one == two == "images/a_jpg"


def test_other_images_stay_alone_in_their_split() -> None:
    assert original(PurePosixPath("train/a.jpg"), "train") == "train/a.jpg"
