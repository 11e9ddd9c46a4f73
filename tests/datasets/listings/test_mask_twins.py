"""Masks among images are found by name and by look, and never learned as parts."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.listings.mask_twins import mask_twins, refuse_masks
from pipeline.errors import DataError

DRAW = np.random.default_rng(3)


def photo(path: Path) -> PurePosixPath:
    return saved(path, DRAW.integers(0, 255, (32, 32), dtype=np.uint8))


def mask(path: Path) -> PurePosixPath:
    drawn = np.zeros((32, 32), np.uint8)
    drawn[10:20, 5:25] = 255
    return saved(path, drawn)


def saved(path: Path, pixels: np.ndarray) -> PurePosixPath:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
    return PurePosixPath(path)


def refuse(root: Path) -> None:
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.*"))
    refuse_masks([Sample(p, p, "good", p) for p in paths], root)


@pytest.mark.parametrize(
    ("picture", "drawn", "remedy"),
    [
        ("good/1.jpg", "good/1.png", "mask_ending: .png, label: folder"),
        ("good/1.png", "good/1_mask.png", "mask_ending: _mask.png, label: folder"),
        ("good/1.jpg", "good/1_gt.jpg", "mask_ending: _gt.jpg, label: folder"),
        ("images/1.jpg", "masks/1.png", "with source.images and source.masks"),
        ("bad/1.png", "bad/ground_truth/1_mask.png", "with source.images and source.masks"),
    ],
)
def test_a_mask_of_an_image_is_refused_with_the_settings_that_read_it(
    tmp_path: Path, picture: str, drawn: str, remedy: str
) -> None:
    photo(tmp_path / picture)
    mask(tmp_path / drawn)
    with pytest.raises(DataError) as raised:
        refuse(tmp_path)
    assert f"such as {drawn} for {picture}: they would be learned" in str(raised.value)
    assert f"{{type: masks, root: {tmp_path}, {remedy}}}" in str(raised.value)


def test_one_picture_in_two_formats_is_not_a_mask(tmp_path: Path) -> None:
    for name in ("good/1.jpg", "good/1.bmp", "good/2.jpg", "bad/2.png"):
        photo(tmp_path / name)
    refuse(tmp_path)


def test_parts_that_are_black_and_white_themselves_are_not_masks(tmp_path: Path) -> None:
    for name in ("good/1.png", "good/1.bmp", "bad/2.png"):
        mask(tmp_path / name)
    refuse(tmp_path)


def test_a_drawn_picture_of_another_class_is_not_a_mask(tmp_path: Path) -> None:
    photo(tmp_path / "good/1.png")
    mask(tmp_path / "bad/1.png")
    refuse(tmp_path)


def test_what_cannot_be_read_is_left_to_the_scan(tmp_path: Path) -> None:
    photo(tmp_path / "good/1.jpg")
    (tmp_path / "good/1.png").write_bytes(b"")
    refuse(tmp_path)


def test_of_very_many_pairs_some_are_looked_at_over_the_whole_data_set(tmp_path: Path) -> None:
    paths = [photo(tmp_path / "a/0.jpg"), mask(tmp_path / "a/0.png")]
    for i in range(1, 300):
        paths += [PurePosixPath(tmp_path / f"a/{i}{ending}") for ending in (".jpg", ".png")]
    assert mask_twins(paths, Path("/")) == [(paths[0], paths[1])]
