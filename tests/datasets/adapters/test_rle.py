"""Tables of defect masks as run lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import recognise, rle
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

HEAD = "ImageId,ClassId,EncodedPixels\n"


def put(home: Path, *names: str) -> None:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(encode_png(np.full((4, 8, 3), 9, np.uint8)))


def read(home: Path, text: str, **more: Any) -> Listing:
    (home / "train.csv").write_text(text)
    raw = {"type": "rle", "file": home / "train.csv", "root": home / "train_images", **more}
    return rle.read(rle.Config.model_validate(raw))


@pytest.fixture
def steel(tmp_path: Path) -> Path:
    """Three images to learn from, and one of a test without labels."""
    put(tmp_path, "train_images/1.jpg", "train_images/2.jpg", "train_images/3.jpg")
    put(tmp_path, "test_images/9.jpg")
    return tmp_path


def test_each_image_has_the_masks_of_its_rows(steel: Path) -> None:
    found = read(steel, HEAD + "1.jpg,3,1 2 9 1\n2.jpg,1,5 1\n1.jpg,4,30 2\n")
    assert found == [
        Sample("1.jpg", "1.jpg", "3", "1.jpg", mask="rle:1 2 9 1 30 2", labels=("3", "4")),
        Sample("2.jpg", "2.jpg", "1", "2.jpg", mask="rle:5 1", labels=("1",)),
    ]
    assert found.unlisted == ["3.jpg"]


def test_images_that_the_table_does_not_name_can_be_good(steel: Path) -> None:
    found = read(steel, HEAD + "1.jpg,3,1 2\n2.jpg,1,5 1\n", unlisted="good", good="ok")
    assert [(s.path, s.label) for s in found[2:]] == [("3.jpg", "ok")]


@pytest.mark.parametrize("nothing", ["", "-1", "NaN"])
def test_a_row_without_run_lengths_is_an_image_without_a_defect(steel: Path, nothing: str) -> None:
    found = read(steel, HEAD + f"1.jpg,,{nothing}\n2.jpg,1,5 1\n")
    assert (found[0].label, found[0].mask, found[0].labels) == ("good", "", ())


def test_older_tables_have_image_and_class_in_one_column(steel: Path) -> None:
    found = read(steel, "ImageId_ClassId,EncodedPixels\n1.jpg_1,\n1.jpg_2,3 1\n2.jpg_1,\n")
    assert [(s.path, s.label) for s in found] == [("1.jpg", "2"), ("2.jpg", "good")]


def test_a_class_that_became_a_number_with_a_point_is_the_same(steel: Path) -> None:
    assert read(steel, HEAD + "1.jpg,3.0,1 2\n")[0].label == "3"


def test_a_table_without_classes_has_one_label_for_all_defects(steel: Path) -> None:
    assert read(steel, "ImageId,EncodedPixels\n1.jpg,1 2\n")[0].label == "defective"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEAD + "\n1.jpg,3,1 2 3\n", r"train\.csv:3 has run lengths '1 2 3'; expected pairs"),
        (HEAD + "1.jpg,,1 2\n", r"train\.csv:2 has a mask and nothing in ClassId"),
        (HEAD + "1.jpg,3\n", r"train\.csv:2 has 2 cells; the first line names 3"),
        (HEAD, r"train\.csv has column names but no rows"),
        ("a,b\n1,2\n", r"train\.csv has the columns a, b; expected ImageId"),
        ("", r"train\.csv has the columns \(none\)"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_line(
    steel: Path, text: str, fault: str
) -> None:
    with pytest.raises(DataError, match=fault):
        read(steel, text)


def test_a_table_of_another_encoding_is_refused(steel: Path) -> None:
    (steel / "train.csv").write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(DataError, match=r"train\.csv is not UTF-8"):
        rle.read(rle.Config(type="rle", file=steel / "train.csv"))


def test_a_missing_table_names_its_setting(steel: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv \(source\.file in ingest\.yaml\) cannot be"):
        rle.read(rle.Config(type="rle", file=steel / "none.csv"))


def test_it_is_recognised_with_what_it_takes_the_other_images_for(steel: Path) -> None:
    (steel / "train.csv").write_text(HEAD + "1.jpg,3,1 2\n2.jpg,1,5 1\n")
    (steel / "sample_submission.csv").write_text(HEAD + "9.jpg,1,\n")
    found = recognise(steel)
    assert found.settings == {
        "type": "rle",
        "file": str(steel / "train.csv"),
        "root": str(steel / "train_images"),
        "unlisted": "good",
    }
    assert found.reason == (
        "train.csv has run lengths of 2 images; it lists defects, so the other 1 images in "
        "train_images are good"
    )


def test_a_table_whose_images_are_not_there_is_named(steel: Path) -> None:
    (steel / "train.csv").write_text(HEAD + "x.jpg,3,1 2\n")
    with pytest.raises(DataError, match="run lengths of 1 images, which are in 0 folders here"):
        recognise(steel)
