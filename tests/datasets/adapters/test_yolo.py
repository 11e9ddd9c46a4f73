"""YOLO's layouts: boxes and outlines in text files, and class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters import recognise, yolo
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

HASH = "0123456789abcdef0123456789abcdef"


def put(root: Path, name: str, labels: str | None = None) -> None:
    """An image, and its labels where the format has them."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((4, 8, 3), 9, np.uint8)))
    if labels is not None:
        file = root / name.replace("images", "labels")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".txt").write_text(labels)


def read(root: Path, **more: Any) -> Listing:
    return yolo.read(yolo.Config.model_validate({"type": "yolo", "root": root, **more}))


def labels(root: Path, **more: Any) -> dict[str, str]:
    return {s.id: s.label for s in read(root, **more)}


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A good part and one with a dent, both in train."""
    put(tmp_path, "images/train/1.png", "")
    put(tmp_path, "images/train/2.png", "1 0.5 0.5 0.25 0.5\n")
    (tmp_path / "data.yaml").write_text(
        "train: images/train\nval: images/train\nnames: [crack, dent]"
    )
    return tmp_path


def test_an_image_is_what_is_marked_in_it_and_good_without_a_box(pair: Path) -> None:
    box = Box("dent", 0.375, 0.25, 0.625, 0.75, relative=True)
    one, two = "images/train/1.png", "images/train/2.png"
    assert read(pair) == [
        Sample(one, one, "good", one),
        Sample(two, two, "dent", two, labels=("dent",), boxes=(box,)),
    ]


def test_it_is_recognised_with_the_names_of_its_classes(pair: Path) -> None:
    found = recognise(pair)
    assert found.settings == {"type": "yolo", "root": str(pair)}
    assert found.reason == "2 of 2 images have YOLO labels of crack, dent"


def test_all_kinds_that_are_marked_are_kept_for_the_taxonomy(pair: Path) -> None:
    put(pair, "images/train/3.png", "0 0.5 0.5 0.1 0.1\n\n1 .2 .2 .1 .1\n1 .3 .3 .1 .1")
    found = read(pair)
    assert (found[2].label, found[2].labels) == ("dent", ("crack", "dent", "dent"))
    assert found.notes[0].startswith("1 image(s) show more than one kind")


def test_an_outline_gives_the_box_around_it(pair: Path) -> None:
    put(pair, "images/train/3.png", "0 0.1 0.2 0.5 0.1 0.3 0.6")
    assert read(pair)[2].boxes == (Box("crack", 0.1, 0.1, 0.5, 0.6, relative=True),)


def test_a_box_without_a_size_marks_nothing_and_is_named(pair: Path) -> None:
    put(pair, "images/train/3.png", "0 0.5 0.5 0 0")
    found = read(pair)
    assert found[2].label == "good"
    assert found.notes == ["1 box(es) without a size mark nothing: labels/train/3.txt:1"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2 .5 .5 .1 .1", r"3\.txt:2 has class 2; there are 2, from 0 to 1: crack, dent"),
        ("0.5 .5 .5 .1 .1", r"3\.txt:2 has class 0\.5"),
        ("dent .5 .5 .1 .1", r"3\.txt:2 reads 'dent \.5.*expected the number of a class"),
        ("0 .5 .5 .1", r"3\.txt:2 has 4 numbers; expected"),
        ("0 .5 .5 .1 .1 .9", r"3\.txt:2 has 6 numbers"),
        ("0 40 30 10 10", r"3\.txt:2 has a box that reaches outside.*not pixels"),
        ("0 nan .5 .1 .1", r"3\.txt:2 has a box that reaches outside"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(pair: Path, line: str, fault: str) -> None:
    put(pair, "images/train/3.png", f"\n{line}\n")
    with pytest.raises(DataError, match=fault):
        read(pair)


def test_folders_for_train_and_val_are_the_given_split(pair: Path) -> None:
    put(pair, "images/val/3.png", "")
    (pair / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [crack, dent]")
    assert [s.split for s in read(pair)] == ["train", "train", "val"]


def test_roboflows_tree_keeps_its_split_and_groups_augmented_copies(tmp_path: Path) -> None:
    for split, copy in (("train", "0"), ("train", "1"), ("valid", "2"), ("test", "3")):
        name = f"a_jpg.rf.{copy}{HASH[1:]}.jpg" if copy != "3" else "b.jpg"
        put(tmp_path, f"{split}/images/{name}", "0 .5 .5 .1 .1")
    (tmp_path / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: [x]"
    )
    found = sorted(read(tmp_path), key=lambda s: s.path)
    assert [s.split for s in found] == ["test", "train", "train", "val"]
    assert [s.group for s in found] == ["test/images/b.jpg", *["images/a_jpg"] * 3]


@pytest.mark.parametrize("path", ["/home/me/sets/parts", "../sets/parts", "C:\\sets\\parts"])
def test_a_path_of_another_machine_is_found(pair: Path, path: str) -> None:
    put(pair, "images/val/3.png", "")
    (pair / "data.yaml").write_text(
        f"path: {path}\ntrain: images/train\nval: images/val\nnames: [crack, dent]"
    )
    assert [s.split for s in read(pair)] == ["train", "train", "val"]


def test_lists_of_images_are_read(pair: Path) -> None:
    put(pair, "images/all/3.png", "")
    (pair / "train.txt").write_text("./images/train/1.png\n./images/train/2.png\n")
    (pair / "val.txt").write_text("/data/sets/images/all/3.png\n")
    (pair / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [crack, dent]")
    assert [(s.id, s.split) for s in read(pair)] == [
        ("images/all/3.png", "val"),
        ("images/train/1.png", "train"),
        ("images/train/2.png", "train"),
    ]


def test_images_that_data_yaml_leaves_out_are_named(pair: Path) -> None:
    put(pair, "images/more/3.png", "")
    found = read(pair)
    assert len(found) == 2
    assert found.unlisted == ["images/more/3.png"]


def test_folders_that_data_yaml_names_and_that_are_not_there_are_an_error(pair: Path) -> None:
    (pair / "data.yaml").write_text("train: pictures\nnames: [crack, dent]")
    with pytest.raises(DataError, match=r"data\.yaml names 'pictures', of which none has an image"):
        read(pair)


def test_without_data_yaml_the_names_of_classes_stand_in_a_list(pair: Path) -> None:
    (pair / "data.yaml").unlink()
    (pair / "classes.txt").write_text("crack\ndent\n")
    assert list(labels(pair).values()) == ["good", "dent"]
    assert recognise(pair).source.type == "yolo"


def test_labels_beside_their_images_are_read(tmp_path: Path) -> None:
    put(tmp_path, "obj_train_data/1.png", "")
    put(tmp_path, "obj_train_data/2.png", "0 .5 .5 .1 .1")
    (tmp_path / "obj.names").write_text("dent\n")
    assert list(labels(tmp_path).values()) == ["good", "dent"]


def test_numbers_without_names_ask_for_them(pair: Path) -> None:
    (pair / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"nothing that names their classes: add data\.yaml"):
        recognise(pair)
    assert list(labels(pair, names=["crack", "dent"]).values()) == ["good", "dent"]


def test_an_image_without_a_file_of_labels_is_good_where_nobody_writes_empty_ones(
    pair: Path,
) -> None:
    (pair / "labels/train/1.txt").unlink()
    found = read(pair)
    assert found[0].label == "good"
    assert found.notes == ['1 image(s) without a file of labels are "good"']


def test_a_file_of_labels_that_seems_lost_is_an_error(pair: Path) -> None:
    put(pair, "images/train/3.png")
    with pytest.raises(DataError, match="have no file of labels, while 1 others have an empty one"):
        read(pair)
    assert len(read(pair, missing_labels="good")) == 3
    assert len(read(pair, missing_labels="ignore")) == 2


def test_an_error_can_be_asked_for(pair: Path) -> None:
    (pair / "labels/train/1.txt").unlink()
    with pytest.raises(
        DataError, match=r"1 image\(s\) in .* have no file of labels: images/train/1"
    ):
        read(pair, missing_labels="error")


def test_labels_of_no_image_are_an_error_since_a_bad_part_would_count_as_good(pair: Path) -> None:
    (pair / "images/train/2.png").rename(pair / "images/train/two.png")
    with pytest.raises(DataError, match=r"1 file\(s\) of labels without an image: labels/train/2"):
        read(pair)


def test_class_folders_in_train_and_val_are_the_layout_of_classification(tmp_path: Path) -> None:
    for name in ("train/ok/1.png", "train/ng/2.png", "val/ok/3.png", "val/ng/deep/4.png"):
        put(tmp_path, name)
    assert recognise(tmp_path).settings == {"type": "yolo", "root": str(tmp_path)}
    assert [(s.label, s.split) for s in read(tmp_path)] == [
        ("ng", "train"),
        ("ok", "train"),
        ("ng", "val"),
        ("ok", "val"),
    ]


def test_images_without_labels_or_class_folders_are_not_yolo(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png")
    with pytest.raises(DataError, match="not laid out as YOLO has it: none of 1 images has a file"):
        read(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        read(tmp_path / "nowhere")


def test_text_beside_images_that_is_not_labels_is_not_yolo(tmp_path: Path) -> None:
    put(tmp_path, "good/1.png", "seen by Tim")
    put(tmp_path, "bad/2.png")
    (tmp_path / "classes.txt").write_text("good\nbad\n")
    with pytest.raises(DataError, match=r"1 annotation\(s\) beside images, such as good/1\.txt"):
        recognise(tmp_path)
