"""CVAT's own XML of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters import cvat, recognise
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

BOX = '<box label="dent" xtl="1" ytl="2" xbr="5.5" ybr="3" occluded="0" source="manual"/>'


def export(home: Path, *images: tuple[str, str], subsets: tuple[str, ...] = ()) -> None:
    """CVAT's export of images by name, with the shapes on each."""
    found = []
    for i, (name, shapes) in enumerate(images):
        path = home / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((8, 8, 3), i, np.uint8)))
        subset = f' subset="{subsets[i]}"' if subsets else ""
        found.append(f'<image id="{i}" name="{name}"{subset} width="8" height="8">{shapes}</image>')
    (home / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta/>{''.join(found)}</annotations>"
    )


def read(home: Path, **more: Any) -> Listing:
    raw = {"type": "cvat", "file": home / "annotations.xml", "root": home / "images", **more}
    return cvat.read(cvat.Config.model_validate(raw))


def test_an_image_is_what_is_marked_in_it_and_good_without_a_shape(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", ""), ("2.png", BOX))
    assert read(tmp_path, good="ok") == [
        Sample("1.png", "1.png", "ok", "1.png"),
        Sample(
            id="2.png",
            path="2.png",
            label="dent",
            group="2.png",
            labels=("dent",),
            boxes=(Box("dent", 1, 2, 5.5, 3),),
        ),
    ]


def test_it_is_recognised_with_the_folder_of_its_images(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", ""), ("2.png", BOX))
    found = recognise(tmp_path)
    assert found.settings == {
        "type": "cvat",
        "file": str(tmp_path / "annotations.xml"),
        "root": str(tmp_path / "images"),
    }
    assert found.reason == "annotations.xml has CVAT's annotations of 2 images"


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ('<polygon label="a" points="1,1;5,2;3,6.5"/>', (1, 1, 5, 6.5)),
        ('<polyline label="a" points="5,2;1,1"/>', (1, 1, 5, 2)),
        ('<ellipse label="a" cx="4" cy="3" rx="2" ry="1"/>', (2, 2, 6, 4)),
        ('<mask label="a" rle="1, 4" left="1" top="2" width="3" height="4"/>', (1, 2, 4, 6)),
        ('<box label="a" xtl="2" ytl="3" xbr="6" ybr="5" rotation="90.0"/>', (3, 2, 5, 6)),
    ],
)
def test_every_shape_has_the_box_around_it(
    tmp_path: Path, shape: str, sides: tuple[float, float, float, float]
) -> None:
    export(tmp_path, ("1.png", shape))
    (box,) = read(tmp_path)[0].boxes
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx(sides)


@pytest.mark.parametrize("shape", ['<tag label="a"/>', '<points label="a" points="1,1"/>'])
def test_a_tag_or_a_point_gives_a_label_and_no_box(tmp_path: Path, shape: str) -> None:
    export(tmp_path, ("1.png", shape))
    assert (read(tmp_path)[0].label, read(tmp_path)[0].boxes) == ("a", ())


def test_all_kinds_that_are_marked_are_kept_for_the_taxonomy(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", f'{BOX}<tag label="crack"/>{BOX}'))
    found = read(tmp_path)
    assert (found[0].label, found[0].labels) == ("dent", ("dent", "crack", "dent"))
    assert found.notes[0].startswith("1 image(s) show more than one kind")


def test_a_shape_without_a_size_marks_nothing_and_is_named(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", '<box label="a" xtl="1" ytl="1" xbr="1" ybr="1"/>'))
    found = read(tmp_path)
    assert found[0].label == "good"
    assert found.notes == ["1 shape(s) without a size mark nothing: 1.png"]


def test_subsets_are_the_given_split(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", ""), ("2.png", ""), subsets=("Train", "Validation"))
    assert [s.split for s in read(tmp_path)] == ["train", "val"]


def test_folders_give_the_split_where_there_are_no_subsets(tmp_path: Path) -> None:
    export(tmp_path, ("train/1.png", ""), ("test/2.png", ""), subsets=("default", "default"))
    assert [s.split for s in read(tmp_path)] == ["train", "test"]


def test_images_that_are_not_in_the_file_are_named(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", ""), ("2.png", BOX))
    (tmp_path / "images/3.png").write_bytes((tmp_path / "images/1.png").read_bytes())
    assert read(tmp_path).unlisted == ["3.png"]
    assert len(read(tmp_path, unlisted="good")) == 3


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ('<box label="a" xtl="1"/>', r"image 0: <box> has ytl ''; expected a number of pixels"),
        ('<polygon label="a" points="1;2"/>', r"image 0: <polygon> has points '1;2'; expected x,y"),
        ('<polygon label="a"/>', r"image 0: <polygon> has points ''"),
    ],
)
def test_a_shape_that_cannot_be_used_is_named(tmp_path: Path, shape: str, fault: str) -> None:
    export(tmp_path, ("1.png", shape))
    with pytest.raises(DataError, match=fault):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<annotations><track/></annotations>", "has tracks of a video; export it from CVAT as"),
        ("<annotations/>", 'has no images; export it from CVAT as "CVAT for images 1.1"'),
        ("<annotation><image/></annotation>", "has no images"),
        ("<annotations>", r"annotations\.xml:1 is not valid XML"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    export(tmp_path, ("1.png", ""))
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(DataError, match=fault):
        read(tmp_path)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    export(tmp_path, ("1.png", ""), ("1.png", BOX))
    with pytest.raises(DataError, match=r"image 1 names 1\.png, as .* image 0 did"):
        read(tmp_path)


def test_a_missing_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"annotations\.xml \(source\.file in ingest\.yaml\) cannot"
    ):
        read(tmp_path)
