"""The layout of MVTec AD."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import mvtec, recognise
from pipeline.datasets.annotations.defect_mask import joined
from pipeline.datasets.scanning import scan
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png


def put(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((4, 4, 3), value, np.uint8)))


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    """A category with one image of each kind."""
    home = tmp_path / "bottle"
    put(home / "train/good/000.png")
    put(home / "test/good/000.png")
    put(home / "test/crack/000.png")
    put(home / "ground_truth/crack/000_mask.png", 255)
    return home


def samples(root: Path) -> list[Sample]:
    return mvtec.read(mvtec.Config(type="mvtec", root=root))


def test_labels_and_splits_come_from_the_folders(bottle: Path) -> None:
    assert [(s.path, s.label, s.split) for s in samples(bottle)] == [
        ("train/good/000.png", "good", "train"),
        ("test/crack/000.png", "crack", "test"),
        ("test/good/000.png", "good", "test"),
    ]


def test_a_defective_part_comes_with_its_mask(bottle: Path) -> None:
    masks = {s.path: s.mask for s in samples(bottle)}
    assert masks.pop("test/crack/000.png") == "ground_truth/crack/000_mask.png"
    assert set(masks.values()) == {""}


def test_one_name_in_several_folders_is_several_parts(bottle: Path) -> None:
    assert len({s.id for s in samples(bottle)}) == len({s.group for s in samples(bottle)}) == 3


def test_masks_are_not_images(bottle: Path) -> None:
    assert not any("ground_truth" in s.path for s in samples(bottle))


def test_a_tree_without_masks_is_read(bottle: Path) -> None:
    (bottle / "ground_truth/crack/000_mask.png").unlink()
    (bottle / "ground_truth/crack").rmdir()
    (bottle / "ground_truth").rmdir()
    assert len(samples(bottle)) == 3


def test_a_defective_image_without_a_mask_is_named(bottle: Path) -> None:
    put(bottle / "test/crack/001.png")
    with pytest.raises(DataError, match=r"test/crack/001\.png has no mask .*001_mask\.png; add"):
        samples(bottle)


def test_an_empty_mask_of_a_defective_image_is_named(bottle: Path) -> None:
    put(bottle / "ground_truth/crack/000_mask.png", 0)
    with pytest.raises(DataError, match=r"000_mask\.png is empty, though its image is in test/cr"):
        samples(bottle)


def test_a_mask_that_cannot_be_read_is_left_to_quarantine(bottle: Path) -> None:
    (bottle / "ground_truth/crack/000_mask.png").write_bytes(b"no image")
    (cut,) = [s for s in samples(bottle) if s.mask]
    assert cut.label == "crack"
    assert "000_mask.png cannot be decoded" in scan(cut, bottle).fault


def test_the_folder_of_all_categories_names_them(bottle: Path) -> None:
    with pytest.raises(DataError, match=r"no train/good.*set source\.root to one of bottle"):
        samples(bottle.parent)


def test_a_missing_root_shows_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a folder \(source\.root.*expected train/good"):
        samples(tmp_path / "nowhere")


def test_a_split_without_images_is_named(bottle: Path) -> None:
    (bottle / "train/good/000.png").unlink()
    with pytest.raises(DataError, match=r"bottle/train has no image; known endings: \.bmp"):
        samples(bottle)


def test_defects_in_train_point_to_the_folder_adapter(bottle: Path) -> None:
    put(bottle / "train/crack/000.png")
    with pytest.raises(DataError, match=r"train holds crack beside good.*use type: folder"):
        samples(bottle)


def masks(root: Path) -> list[str]:
    return [s.mask for s in samples(root) if s.mask]


def test_a_folder_of_masks_of_one_image_is_joined(bottle: Path) -> None:
    (bottle / "ground_truth/crack/000_mask.png").unlink()
    put(bottle / "ground_truth/crack/000/000.png", 0)
    put(bottle / "ground_truth/crack/000/001.png", 255)
    files = ["ground_truth/crack/000/000.png", "ground_truth/crack/000/001.png"]
    assert masks(bottle) == [joined(files)]


def test_a_folder_of_empty_masks_is_named(bottle: Path) -> None:
    (bottle / "ground_truth/crack/000_mask.png").unlink()
    put(bottle / "ground_truth/crack/000/000.png", 0)
    with pytest.raises(DataError, match=r"crack/000/000\.png is empty, though its image"):
        samples(bottle)


def test_a_mask_of_the_images_own_name_is_found_whatever_its_ending(bottle: Path) -> None:
    (bottle / "ground_truth/crack/000_mask.png").rename(bottle / "ground_truth/crack/000.bmp")
    assert masks(bottle) == ["ground_truth/crack/000.bmp"]


def test_a_mask_of_another_image_whose_name_begins_alike_is_not_taken(bottle: Path) -> None:
    put(bottle / "test/crack/00.png")
    put(bottle / "ground_truth/crack/00.png", 255)
    assert masks(bottle) == ["ground_truth/crack/00.png", "ground_truth/crack/000_mask.png"]


def test_images_for_validation_keep_that_split(bottle: Path) -> None:
    put(bottle / "validation/good/000.png")
    assert [s.split for s in samples(bottle)] == ["train", "val", "test", "test"]


def test_good_parts_may_be_called_ok(tmp_path: Path) -> None:
    for name in ("train/ok/0000.png", "test/ok/0000.png", "test/ko/0000.png"):
        put(tmp_path / name)
    put(tmp_path / "ground_truth/ko/0000.png", 255)
    assert [(s.label, s.mask) for s in samples(tmp_path)] == [
        ("ok", ""),
        ("ko", "ground_truth/ko/0000.png"),
        ("ok", ""),
    ]
    assert recognise(tmp_path).reason == "train has ok only, test ko, ok with masks in ground_truth"
