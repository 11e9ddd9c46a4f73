"""Splits by the names of folders."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from pipeline.datasets.annotations.given_splits import given_splits, split_of


def given(*paths: str) -> list[tuple[str, str]]:
    return given_splits([PurePosixPath(path) for path in paths])


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("valid", "val"), ("val2017", "val"), ("test_2", "test"), ("good", "")],
)
def test_splits_have_many_spellings(name: str, split: str) -> None:
    assert split_of(name) == split


def test_folders_of_one_level_give_the_split_wherever_that_level_is() -> None:
    assert given("train/a.png", "valid/b.png") == [("train", "train"), ("val", "valid")]
    assert given("images/train/a.png", "images/val/b.png") == [("train", "train"), ("val", "val")]


def test_train_alone_is_not_a_split() -> None:
    assert given("images/train/a.png", "images/train/b.png") == [("", ""), ("", "")]


def test_images_beside_the_splits_have_none() -> None:
    assert given("train/a.png", "test/b.png", "c.png", "more/d.png")[2:] == [("", ""), ("", "")]


def test_no_images_have_no_splits() -> None:
    assert given() == []
