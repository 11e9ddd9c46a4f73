"""Images and masks in two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import masks
from pipeline.datasets.scanning import scan
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png


def put(root: Path, name: str, spot: int = 0) -> None:
    """A black picture with one pixel of the value given."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[5, 2] = spot
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(encode_png(picture))


def samples(root: Path, **more: Any) -> list[Sample]:
    return masks.read(masks.Config.model_validate({"type": "masks", "root": root, **more}))


def labels(root: Path, **more: Any) -> list[str]:
    return [s.label for s in samples(root, **more)]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A good part 1 and a part 2 with a defect of one faint pixel."""
    for name, spot in (("1.png", 0), ("2.png", 1)):
        put(tmp_path, f"images/{name}")
        put(tmp_path, f"masks/{name}", spot)
    return tmp_path


def test_a_part_is_defective_where_one_pixel_of_the_mask_is_set(pairs: Path) -> None:
    assert samples(pairs) == [
        Sample("1.png", "images/1.png", "good", "1.png", mask="masks/1.png"),
        Sample("2.png", "images/2.png", "defective", "2.png", mask="masks/2.png"),
    ]


def test_the_two_labels_are_configurable(pairs: Path) -> None:
    assert labels(pairs, good="ok", defective="ng") == ["ok", "ng"]


def test_the_two_folders_are_configurable_and_paths_are_below_the_root(pairs: Path) -> None:
    (pairs / "images").rename(pairs / "rgb")
    (pairs / "masks").rename(pairs / "gt")
    assert samples(pairs, images="rgb", masks="gt")[0].path == "rgb/1.png"


def test_image_and_mask_may_have_different_endings(pairs: Path) -> None:
    (pairs / "images/2.png").rename(pairs / "images/2.jpg")
    assert labels(pairs) == ["good", "defective"]


def test_a_16_bit_mask_counts(pairs: Path) -> None:
    deep = np.zeros((8, 8), np.uint16)
    deep[0, 0] = 7
    (pairs / "masks/1.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    assert labels(pairs) == ["defective", "defective"]


def test_the_class_can_be_the_folder(tmp_path: Path) -> None:
    for name, spot in (("good/1.png", 0), ("dent/1.png", 255), ("dent/2.png", 0)):
        put(tmp_path, f"images/{name}")
        put(tmp_path, f"masks/{name}", spot)
    found = {s.id: s.label for s in samples(tmp_path, label="folder")}
    assert found == {"dent/1.png": "dent", "dent/2.png": "good", "good/1.png": "good"}


def test_a_mask_that_is_set_contradicts_the_folder_of_good_parts(tmp_path: Path) -> None:
    put(tmp_path, "images/good/1.png")
    put(tmp_path, "masks/good/1.png", 255)
    with pytest.raises(DataError, match=r"good/1\.png is in the folder of good parts, but"):
        samples(tmp_path, label="folder")


def test_an_image_in_no_class_folder_is_named(pairs: Path) -> None:
    with pytest.raises(DataError, match=r"images/1\.png is in no class folder"):
        samples(pairs, label="folder")


def test_an_empty_mask_in_the_folder_of_a_defect_is_named(tmp_path: Path) -> None:
    for name, spot in (("good/1.png", 0), ("dent/1.png", 255), ("dent/2.png", 0)):
        put(tmp_path, f"images/{name}")
        put(tmp_path, f"masks/{name}", spot)
    config = masks.Config(type="masks", root=tmp_path, label="folder")
    (note,) = masks.read(config).notes
    assert note.startswith("1 image(s) in a folder of another class have an empty mask")
    assert note.endswith("images/dent/2.png")


@pytest.mark.parametrize("ending", [".png", "_mask.png"])
def test_masks_may_lie_beside_their_images(tmp_path: Path, ending: str) -> None:
    for name, spot in (("good/1", 0), ("dent/1", 255)):
        put(tmp_path, f"{name}.bmp")
        put(tmp_path, f"{name}{ending}", spot)
    assert samples(tmp_path, mask_ending=ending, label="folder") == [
        Sample("dent/1.bmp", "dent/1.bmp", "dent", "dent/1.bmp", mask=f"dent/1{ending}"),
        Sample("good/1.bmp", "good/1.bmp", "good", "good/1.bmp", mask=f"good/1{ending}"),
    ]


def test_an_image_without_the_mask_beside_it_is_named(tmp_path: Path) -> None:
    put(tmp_path, "dent/1.bmp")
    with pytest.raises(DataError, match=r"dent/1\.bmp has no mask such as .*dent/1_mask\.png"):
        samples(tmp_path, mask_ending="_mask.png")


def test_a_mask_without_an_image_beside_it_is_named(tmp_path: Path) -> None:
    put(tmp_path, "1.bmp")
    put(tmp_path, "2.png", 255)
    with pytest.raises(DataError, match=r"1 of the masks in .* belong to no image in .*2\.png"):
        samples(tmp_path, mask_ending=".png", missing_mask="good")


def test_a_missing_mask_is_an_error_that_names_where_it_should_be(pairs: Path) -> None:
    (pairs / "masks/1.png").unlink()
    with pytest.raises(DataError, match=r"images/1\.png has no mask such as .*masks/1\.png"):
        samples(pairs)


def test_a_missing_mask_can_mean_a_good_part(pairs: Path) -> None:
    (pairs / "masks/1.png").unlink()
    assert labels(pairs, missing_mask="good") == ["good", "defective"]


def test_a_misnamed_mask_does_not_pass_its_part_as_good(pairs: Path) -> None:
    (pairs / "masks/2.png").rename(pairs / "masks/2_mask.png")
    with pytest.raises(DataError, match=r"1 of the masks in .*belong to no image.*2_mask\.png"):
        samples(pairs, missing_mask="good")


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_two_files_of_one_name_are_refused(pairs: Path, folder: str) -> None:
    put(pairs, f"{folder}/1.bmp")
    with pytest.raises(DataError, match=rf"{folder} has 1\.bmp and 1\.png"):
        samples(pairs)


def test_a_mask_that_is_cut_off_is_left_to_quarantine(pairs: Path) -> None:
    whole = (pairs / "masks/2.png").read_bytes()
    (pairs / "masks/2.png").write_bytes(whole[: len(whole) // 2])
    _, cut = samples(pairs)
    assert (cut.label, cut.mask) == ("defective", "masks/2.png")
    assert scan(cut, pairs).fault.startswith("masks/2.png cannot be decoded")


def test_a_mask_of_no_bytes_is_left_to_quarantine(pairs: Path) -> None:
    (pairs / "masks/2.png").write_bytes(b"")
    assert scan(samples(pairs)[1], pairs).fault == "masks/2.png is empty (0 bytes)"


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_missing_folder_names_its_setting(pairs: Path, folder: str) -> None:
    with pytest.raises(DataError, match=rf"nowhere is not a folder .*source\.{folder} in"):
        samples(pairs, **{folder: "nowhere"})


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="images has no image; known endings"):
        samples(tmp_path)


@pytest.mark.parametrize("more", [{"images": "."}, {"masks": "."}, {"masks": "images"}])
def test_one_folder_in_the_other_is_refused(pairs: Path, more: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="neither in the other"):
        samples(pairs, **more)
