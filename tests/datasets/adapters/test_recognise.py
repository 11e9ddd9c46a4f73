"""A folder is recognised by its files, or there is one message on what was seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.adapters import adapter, recognise
from pipeline.datasets.location import locate
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png


def put(home: Path, *names: str) -> None:
    """Small images of those names."""
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(encode_png(np.full((4, 4, 3), 9, np.uint8)))


def settings(home: Path) -> dict[str, Any]:
    """What is recognised, without the root where that is the folder itself."""
    found = recognise(home).settings
    return {k: v for k, v in found.items() if (k, v) != ("root", str(home))}


def labels(home: Path) -> list[str]:
    source = recognise(home).source
    return [sample.label for sample in adapter(source).read(source)]


def coco(*names: str) -> str:
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4}
    categories = [{"id": 0, "name": "parts"}, {"id": 1, "name": "dent"}]
    return json.dumps({"images": images, "annotations": [box], "categories": categories})


def test_folders_named_like_classes_are_classes(tmp_path: Path) -> None:
    put(tmp_path, "good/1.png", "dent/1.png")
    assert settings(tmp_path) == {"type": "folder"}
    assert recognise(tmp_path).reason == "one folder a class: dent, good"


def test_classes_in_splits_are_named_with_the_splits(tmp_path: Path) -> None:
    put(tmp_path, *(f"{split}/{c}/1.png" for split in ("train", "test") for c in ("ok", "ng")))
    assert recognise(tmp_path).reason == "one folder a class in each of train, test: ng, ok"


def test_one_folder_of_images_is_not_a_data_set_of_one_class(tmp_path: Path) -> None:
    put(tmp_path, "parts/1.png", "parts/2.png")
    (tmp_path / "notes.md").touch()
    with pytest.raises(
        DataError, match=r"not known: 2 image\(s\) in parts, and beside them 1 \.md"
    ):
        recognise(tmp_path)


def test_one_folder_alone_is_a_data_set_where_its_name_is_that_of_good_parts(
    tmp_path: Path,
) -> None:
    put(tmp_path, "good/1.png", "good/2.png")
    assert recognise(tmp_path).reason == "one folder of good parts: good"


def test_one_folder_of_another_name_is_answered_with_what_good_parts_would_be_called(
    tmp_path: Path,
) -> None:
    put(tmp_path, "parts/1.png", "parts/2.png")
    with pytest.raises(DataError, match=r"where all of them are good parts, move them into .*good"):
        recognise(tmp_path)


@pytest.mark.parametrize("folders", [("images", "labels"), ("train", "test"), ("img", "good")])
def test_a_folder_of_a_data_format_or_a_split_is_not_a_class(
    tmp_path: Path, folders: tuple[str, str]
) -> None:
    put(tmp_path, *(f"{folder}/1.png" for folder in folders))
    with pytest.raises(DataError, match="a layout that is not known"):
        recognise(tmp_path)


def test_annotations_of_an_unknown_format_beside_images_are_not_ignored(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a/1.json").write_text('{"shapes": []}')
    with pytest.raises(DataError, match=r"has 1 annotation\(s\) beside images, such as a/1\.json"):
        recognise(tmp_path)


def test_images_in_no_folder_are_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "1.json").write_text('{"shapes": []}')
    seen = (
        r"2 image\(s\) in the folder itself, and beside them 1 \.json; expected one folder a class"
    )
    with pytest.raises(DataError, match=seen):
        recognise(tmp_path)


def test_an_archive_is_recognised_like_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("upath")
    put(tmp_path / "parts", "good/1.png", "dent/1.png")
    archive = shutil.make_archive(str(tmp_path / "parts"), "zip", tmp_path / "parts")
    found = recognise(locate(archive))
    assert found.settings == {"type": "folder", "root": archive}
    assert [s.path for s in adapter(found.source).read(found.source)] == [
        "dent/1.png",
        "good/1.png",
    ]


def test_a_file_in_an_archive_is_named_by_its_address(tmp_path: Path) -> None:
    pytest.importorskip("upath")
    put(tmp_path / "parts", "img/1.png", "img/2.png")
    (tmp_path / "parts/t.csv").write_text("path,label\nimg/1.png,ok\nimg/2.png,dent\n")
    archive = shutil.make_archive(str(tmp_path / "parts"), "zip", tmp_path / "parts")
    found = recognise(locate(archive))
    assert found.settings == {"type": "csv", "file": f"zip://t.csv::{archive}"}
    assert [s.label for s in adapter(found.source).read(found.source)] == ["ok", "dent"]


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no image; known endings: \.bmp"):
        recognise(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        recognise(tmp_path / "nowhere")


def test_good_images_alone_in_train_are_mvtec(tmp_path: Path) -> None:
    put(tmp_path, "train/good/1.png", "test/good/1.png", "test/dent/1.png")
    assert settings(tmp_path) == {"type": "mvtec"}


def test_a_folder_of_products_in_mvtecs_layout_asks_for_one(tmp_path: Path) -> None:
    put(tmp_path, "nut/train/good/1.png", "nut/test/dent/1.png", "cap/train/good/1.png")
    with pytest.raises(DataError, match=r"holds 2 data sets of MVTec AD's layout \(cap, nut\)"):
        recognise(tmp_path)


def test_folders_of_images_and_masks_are_masks(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png", "masks/1.png")
    assert settings(tmp_path) == {"type": "masks"}


def test_class_folders_in_the_folder_of_images_give_the_label(tmp_path: Path) -> None:
    put(tmp_path, "images/good/1.png", "images/dent/1.png", "masks/dent/1.png")
    assert settings(tmp_path) == {"type": "masks", "label": "folder"}


def test_cocos_file_is_found_with_the_folder_of_its_images(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png", "images/2.png")
    (tmp_path / "export.json").write_text(coco("1.png", "2.png"))
    assert settings(tmp_path)["root"] == str(tmp_path / "images")
    assert labels(tmp_path) == ["dent", "good"]


def test_label_studios_tasks_are_found(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    (tmp_path / "tasks.json").write_text(
        json.dumps([{"id": 1, "data": {"image": "1.png"}, "annotations": []}])
    )
    assert settings(tmp_path) == {"type": "labelstudio", "file": str(tmp_path / "tasks.json")}


def test_a_table_is_found_with_its_columns(tmp_path: Path) -> None:
    put(tmp_path, "img/1.png", "img/2.png")
    (tmp_path / "t.csv").write_text("Class;File;group\nok;img/1.png;a\ndent;img/2.png;b\n")
    assert settings(tmp_path) == {
        "type": "csv",
        "file": str(tmp_path / "t.csv"),
        "columns": {"path": "File", "label": "Class", "group": "group"},
    }
    assert labels(tmp_path) == ["ok", "dent"]


def test_a_table_without_a_column_that_is_clearly_the_class_is_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    (tmp_path / "t.csv").write_text("file,a,b\n1.png,x,y\n")
    with pytest.raises(DataError, match="not clear which of file, a, b is the class"):
        recognise(tmp_path)


def test_two_layouts_at_once_are_named_with_their_reasons(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png", "masks/1.png")
    (tmp_path / "export.json").write_text(coco("1.png"))
    with pytest.raises(DataError, match=r"in 2 ways \(coco: export\.json has .*; masks: 1 images"):
        recognise(tmp_path)
