"""Pascal VOC's XML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters import recognise, voc
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

BOX = "<bndbox><xmin>2</xmin><ymin>1</ymin><xmax>6</xmax><ymax>3.5</ymax></bndbox>"


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_png(np.full((4, 8, 3), 9, np.uint8)))


def annotate(root: Path, name: str, *labels: str, filename: str = "", box: str = BOX) -> None:
    """An XML file with an object of each label."""
    objects = "".join(f"<object><name>{label}</name>{box}</object>" for label in labels)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(
        f"<annotation><filename>{filename}</filename>{objects}</annotation>", "utf-8"
    )


def read(root: Path, **more: Any) -> Listing:
    return voc.read(voc.Config.model_validate({"type": "voc", "root": root, **more}))


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A good part and one with a dent, as the challenge lays them out."""
    put(tmp_path, "JPEGImages/1.png", "JPEGImages/2.png")
    annotate(tmp_path, "Annotations/1.xml")
    annotate(tmp_path, "Annotations/2.xml", "dent")
    return tmp_path


def test_an_image_is_what_is_marked_in_it_and_good_without_an_object(pair: Path) -> None:
    one, two = "JPEGImages/1.png", "JPEGImages/2.png"
    assert read(pair, good="ok") == [
        Sample(one, one, "ok", one),
        Sample(two, two, "dent", two, labels=("dent",), boxes=(Box("dent", 2, 1, 6, 3.5),)),
    ]


def test_it_is_recognised(pair: Path) -> None:
    found = recognise(pair)
    assert found.settings == {"type": "voc", "root": str(pair)}
    assert found.reason == "2 XML files of Pascal VOC's form for 2 images"


def test_xml_beside_its_image_in_folders_of_splits_is_a_given_split(tmp_path: Path) -> None:
    for folder, n in (("train", 1), ("valid", 2), ("test", 1)):  # 1 twice, each with its own
        put(tmp_path, f"{folder}/{n}.png")
        annotate(tmp_path, f"{folder}/{n}.xml", "dent")
    assert [(s.path, s.split) for s in read(tmp_path)] == [
        ("test/1.png", "test"),
        ("train/1.png", "train"),
        ("valid/2.png", "val"),
    ]
    assert recognise(tmp_path).source.type == "voc"


def test_images_in_class_folders_of_a_split_find_the_xml_of_that_split(tmp_path: Path) -> None:
    for split, label in (("train", "crazing"), ("validation", "patches")):
        put(tmp_path, f"{split}/images/{label}/1.png")
        annotate(tmp_path, f"{split}/annotations/1.xml", label)
    found = {s.path: (s.label, s.split) for s in read(tmp_path)}
    assert found == {
        "train/images/crazing/1.png": ("crazing", "train"),
        "validation/images/patches/1.png": ("patches", "val"),
    }


def test_the_lists_of_the_challenge_are_the_given_split(pair: Path) -> None:
    put(pair, "JPEGImages/3.png")
    annotate(pair, "Annotations/3.xml", "dent")
    sets = pair / "ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "trainval.txt").write_text("1\n2\n")
    (sets / "val.txt").write_text("2  1\n")
    (sets / "test.txt").write_text("3\n")
    assert [s.split for s in read(pair)] == ["train", "val", "test"]


def test_augmented_copies_of_one_original_are_one_group(tmp_path: Path) -> None:
    names = [f"{split}/a_jpg.rf.{h * 32}" for split, h in (("train", "0"), ("test", "1"))]
    for name in names:
        put(tmp_path, f"{name}.jpg")
        annotate(tmp_path, f"{name}.xml", "dent")
    assert [s.group for s in read(tmp_path)] == ["a_jpg", "a_jpg"]


def test_all_kinds_that_are_marked_are_kept_for_the_taxonomy(pair: Path) -> None:
    annotate(pair, "Annotations/2.xml", "dent", "crack", "crack")
    found = read(pair)
    assert (found[1].label, found[1].labels) == ("crack", ("dent", "crack", "crack"))
    assert found.notes[0].startswith("1 image(s) show more than one kind")


def test_a_box_without_a_size_marks_nothing_and_is_named(pair: Path) -> None:
    box = "<bndbox><xmin>2</xmin><ymin>1</ymin><xmax>2</xmax><ymax>1</ymax></bndbox>"
    annotate(pair, "Annotations/2.xml", "dent", box=box)
    found = read(pair)
    assert found[1].label == "good"
    assert found.notes == ["1 box(es) without a size mark nothing: Annotations/2.xml"]


def test_an_object_without_a_box_marks_all_the_same(pair: Path) -> None:
    annotate(pair, "Annotations/2.xml", "dent", box="<polygon/>")
    assert (read(pair)[1].label, read(pair)[1].boxes) == ("dent", ())


def test_the_name_in_the_xml_counts_where_the_files_name_fits_none(pair: Path) -> None:
    (pair / "Annotations/2.xml").unlink()
    annotate(pair, "Annotations/part-two.xml", "dent", filename="C:\\pictures\\2.png")
    assert [s.path for s in read(pair)] == ["JPEGImages/1.png", "JPEGImages/2.png"]


def test_an_image_without_xml_is_named_and_left_out_unless_it_is_good(pair: Path) -> None:
    put(pair, "JPEGImages/3.png")
    found = read(pair)
    assert (len(found), found.unlisted) == (2, ["JPEGImages/3.png"])
    assert [s.label for s in read(pair, unlisted="good")] == ["good", "dent", "good"]
    with pytest.raises(DataError, match=r"1 image\(s\) in .* does not list: JPEGImages/3\.png"):
        read(pair, unlisted="error")


def test_xml_of_no_image_is_an_error(pair: Path) -> None:
    (pair / "JPEGImages/2.png").unlink()
    with pytest.raises(DataError, match=r"1 XML file\(s\) without an image: Annotations/2\.xml"):
        read(pair)


def test_xml_that_fits_two_images_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    annotate(tmp_path, "xml/1.xml", "dent")
    with pytest.raises(DataError, match=r"xml/1\.xml fits 2 images: a/1\.png, b/1\.png"):
        read(tmp_path)


def test_two_files_of_one_image_are_an_error(pair: Path) -> None:
    annotate(pair, "Annotations/more/2.xml", "crack")
    with pytest.raises(DataError, match=r"Annotations/more/2\.xml names JPEGImages/2\.png, as .*"):
        read(pair)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<annotation>", r"2\.xml:1 is not valid XML"),
        ("<annotation><object></object></annotation>", r"2\.xml has an object without a name"),
        (
            "<annotation><object><name>a</name><bndbox><xmin>x</xmin></bndbox></object></annotation>",
            r"2\.xml: <bndbox> has xmin 'x'; expected a number",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', r"2\.xml:1 has a document type with decl"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(pair: Path, text: str, fault: str) -> None:
    (pair / "Annotations/2.xml").write_text(text)
    with pytest.raises(DataError, match=fault):
        read(pair)


def test_other_xml_is_left_alone(pair: Path) -> None:
    (pair / "camera.xml").write_text("<settings/>")
    assert len(read(pair)) == 2


def test_a_folder_without_xml_or_images_is_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    with pytest.raises(DataError, match="has no XML file of Pascal VOC's form"):
        read(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        read(tmp_path / "nowhere")
