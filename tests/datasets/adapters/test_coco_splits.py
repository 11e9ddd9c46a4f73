"""One file of COCO's JSON a split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Box
from pipeline.datasets.adapters import coco_splits, recognise
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

HASH = "0123456789abcdef0123456789abcde"


def put(home: Path, *names: str) -> None:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(encode_png(np.full((4, 4, 3), 9, np.uint8)))


def export(file: Path, *names: str) -> None:
    """COCO's form of these images, the first of which has a dent; its root category is unused."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 2, 2], "area": 4}
    categories = [{"id": 0, "name": "parts"}, {"id": 1, "name": "dent"}]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": [box], "categories": categories}))


def read(home: Path, **more: Any) -> Listing:
    return coco_splits.read(
        coco_splits.Config.model_validate({"type": "coco_splits", "root": home, **more})
    )


def found(home: Path) -> list[tuple[str, str, str]]:
    return [(s.path, s.label, s.split) for s in read(home)]


@pytest.fixture
def roboflow(tmp_path: Path) -> Path:
    for split in ("train", "valid", "test"):
        put(tmp_path, f"{split}/1.png", f"{split}/2.png")
        export(tmp_path / split / "_annotations.coco.json", "1.png", "2.png")
    return tmp_path


@pytest.fixture
def cocos_own(tmp_path: Path) -> Path:
    for split in ("train2017", "val2017"):
        put(tmp_path, f"{split}/1.png", f"{split}/2.png")
        export(tmp_path / f"annotations/instances_{split}.json", "1.png", "2.png")
    return tmp_path


def test_a_file_beside_the_images_of_each_split_keeps_the_split(roboflow: Path) -> None:
    assert found(roboflow) == [
        ("train/1.png", "dent", "train"),
        ("train/2.png", "good", "train"),
        ("valid/1.png", "dent", "val"),
        ("valid/2.png", "good", "val"),
        ("test/1.png", "dent", "test"),
        ("test/2.png", "good", "test"),
    ]
    assert read(roboflow)[0].boxes == (Box("dent", 1, 1, 3, 3),)


def test_it_is_recognised_with_its_files(roboflow: Path) -> None:
    seen = recognise(roboflow)
    assert seen.settings == {"type": "coco_splits", "root": str(roboflow)}
    assert seen.reason.startswith("one file of COCO's JSON a split: train/_annotations.coco.json")


def test_images_may_be_in_a_folder_beside_the_file(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path, f"{split}/images/1.png")
        export(tmp_path / split / "_annotations.coco.json", "1.png")
    assert found(tmp_path) == [
        ("train/images/1.png", "dent", "train"),
        ("test/images/1.png", "dent", "test"),
    ]


def test_cocos_own_folder_of_annotations_means_the_folders_beside_it(cocos_own: Path) -> None:
    assert found(cocos_own) == [
        ("train2017/1.png", "dent", "train"),
        ("train2017/2.png", "good", "train"),
        ("val2017/1.png", "dent", "val"),
        ("val2017/2.png", "good", "val"),
    ]
    assert recognise(cocos_own).source.type == "coco_splits"


def test_other_files_of_the_same_images_are_passed_by(cocos_own: Path) -> None:
    export(cocos_own / "annotations/person_keypoints_train2017.json", "1.png")
    (cocos_own / "annotations/captions_train2017.json").write_text('{"images": []}')
    assert len(found(cocos_own)) == 4


def test_two_files_of_one_split_are_named(roboflow: Path) -> None:
    export(roboflow / "train/more.json", "1.png")
    with pytest.raises(
        DataError, match=r"has 2 files of COCO's JSON for train: train/_annotations"
    ):
        read(roboflow)


def test_copies_of_an_original_in_two_splits_are_one_group(tmp_path: Path) -> None:
    for split, digit in (("train", "0"), ("test", "1")):
        name = f"a_jpg.rf.{HASH}{digit}.jpg"
        put(tmp_path, f"{split}/{name}")
        export(tmp_path / split / "_annotations.coco.json", name)
    assert [s.group for s in read(tmp_path)] == ["a_jpg", "a_jpg"]


def test_second_files_of_macos_are_passed_over(roboflow: Path) -> None:
    for name in ("train/._1.png", "train/.__annotations.coco.json"):
        (roboflow / name).write_bytes(b"\0\5\x16\7")
    assert len(found(roboflow)) == 6
    assert len(read(roboflow).passed_over) == 2


def test_images_that_a_file_does_not_list_are_named(roboflow: Path) -> None:
    put(roboflow, "train/3.png")
    assert read(roboflow).unlisted == ["train/3.png"]
    assert len(read(roboflow, unlisted="good")) == 7


def test_a_tree_without_such_files_is_named(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png")
    with pytest.raises(DataError, match="has no file of COCO's JSON that is named like a split"):
        read(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        read(tmp_path / "nowhere")


def test_two_files_of_no_split_are_not_understood(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    export(tmp_path / "a.json", "a/1.png")
    export(tmp_path / "b.json", "b/1.png")
    with pytest.raises(DataError, match=r"2 files of COCO's form: a\.json, b\.json"):
        recognise(tmp_path)
