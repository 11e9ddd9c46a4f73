"""COCO's JSON as one class an image."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters import coco
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

CATEGORIES = ["stain", "dent", "crack"]


def export(home: Path, **parts: list[str]) -> dict[str, Any]:
    """COCO's form of images by stem with the categories on each; the images are written too."""
    found: dict[str, Any] = {
        "info": {"year": 2026},
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": n} for i, n in enumerate(CATEGORIES, 1)],
    }
    for number, (stem, names) in enumerate(parts.items(), 10):
        (home / f"{stem}.png").write_bytes(encode_png(np.full((4, 4, 3), number, np.uint8)))
        found["images"].append({"id": number, "file_name": f"{stem}.png", "width": 4, "height": 4})
        for name in names:
            box = {"id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 0}
            category = CATEGORIES.index(name) + 1
            found["annotations"].append({"image_id": number, "category_id": category, **box})
    return found


def read(home: Path, content: Any, **more: Any) -> Listing:
    file = home / "coco.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    raw = {"type": "coco", "file": file, "severity": CATEGORIES, **more}
    return coco.read(coco.Config.model_validate(raw))


def test_the_gravest_category_of_an_image_is_its_label(tmp_path: Path) -> None:
    content = export(tmp_path, a=["crack", "stain"], b=["stain", "dent", "stain"])
    box = partial(Box, left=0, top=0, right=1, bottom=1)
    kinds = [["crack", "stain"], ["stain", "dent", "stain"]]
    first, second = (tuple(box(label=kind) for kind in of_image) for of_image in kinds)
    assert read(tmp_path, content) == [
        Sample("a.png", "a.png", "crack", "a.png", boxes=first),
        Sample("b.png", "b.png", "dent", "b.png", boxes=second),
    ]


def test_without_an_order_all_categories_are_kept_for_the_taxonomy(tmp_path: Path) -> None:
    content = export(tmp_path, a=["stain", "dent", "stain"], b=["crack"], c=[])
    found = read(tmp_path, content, severity=None)
    assert [(s.label, s.labels) for s in found] == [
        ("stain", ("stain", "dent", "stain")),
        ("crack", ("crack",)),
        ("good", ()),
    ]
    assert found.notes[0].startswith("1 image(s) show more than one kind")


def test_augmented_copies_of_one_original_are_one_group(tmp_path: Path) -> None:
    names = {f"a_jpg.rf.{digit * 32}": ["dent"] for digit in "01"}
    assert [s.group for s in read(tmp_path, export(tmp_path, **names))] == ["a_jpg", "a_jpg"]


def test_an_annotation_that_marks_nothing_leaves_its_image_good_and_is_named(
    tmp_path: Path,
) -> None:
    content = export(tmp_path, a=["crack"], b=["crack"], c=["stain"], d=[])
    nothing = {"bbox": [0, 0, 0, 0], "segmentation": [], "area": 0}
    content["annotations"][0] |= nothing
    content["annotations"] += [content["annotations"][1] | nothing]
    listing = read(tmp_path, content)
    assert [s.label for s in listing] == ["good", "crack", "stain", "good"]
    assert listing.notes == [
        f'1 image(s) count as "good" although {tmp_path}/coco.json has annotations of them: these '
        "mark nothing (no area, or iscrowd without a mask): a.png"
    ]


def test_an_annotation_that_marks_nothing_needs_no_rank(tmp_path: Path) -> None:
    content = export(tmp_path, a=["crack"], b=["dent"])
    content["annotations"][0] |= {"bbox": [3, 3, 0, 0]}
    assert [s.label for s in read(tmp_path, content, severity=["dent"])] == ["good", "dent"]


def test_annotations_of_which_none_marks_anything_are_an_error(tmp_path: Path) -> None:
    content = export(tmp_path, a=["crack"], b=["dent"])
    for annotation in content["annotations"]:
        annotation["bbox"] = []
    with pytest.raises(DataError, match=r"none of the 2 annotations in .* marks anything"):
        read(tmp_path, content)


@pytest.mark.parametrize("kind", [str, float])
def test_ids_of_images_and_categories_may_be_text_or_numbers_with_a_point(
    tmp_path: Path, kind: type
) -> None:
    content = export(tmp_path, a=["crack"], b=[])
    for image in content["images"]:
        image["id"] = kind(image["id"])
    for category in content["categories"]:
        category["id"] = kind(category["id"])
    assert [s.label for s in read(tmp_path, content)] == ["crack", "good"]


def test_ids_that_differ_only_in_their_kind_are_two_of_one_id(tmp_path: Path) -> None:
    content = export(tmp_path, a=[], b=[])
    content["images"][1]["id"] = "10"
    with pytest.raises(DataError, match=r"images\.1 has id 10, as an image before it"):
        read(tmp_path, content)


def test_an_image_is_found_by_the_path_of_another_system(tmp_path: Path) -> None:
    content = export(tmp_path, a=["crack"])
    content["images"][0]["file_name"] = "images\\1/a.png"
    (only,) = (listing := read(tmp_path, content))
    assert (only.path, only.label) == ("a.png", "crack")
    assert "images\\1/a.png is a.png" in listing.notes[0]


def test_images_that_the_file_does_not_list_can_count_as_good(tmp_path: Path) -> None:
    content = export(tmp_path, a=["crack"], b=[])
    del content["images"][1]
    assert read(tmp_path, content).unlisted == ["b.png"]
    listing = read(tmp_path, content, unlisted="good")
    assert [(s.path, s.label) for s in listing] == [("a.png", "crack"), ("b.png", "good")]
    with pytest.raises(DataError, match=r"does not list: b\.png"):
        read(tmp_path, content, unlisted="error")


def test_the_configured_order_decides_not_that_of_the_file(tmp_path: Path) -> None:
    content = export(tmp_path, a=["crack", "stain"])
    (only,) = read(tmp_path, content, severity=["crack", "dent", "stain"])
    assert only.label == "stain"


def test_an_image_without_annotations_is_good(tmp_path: Path) -> None:
    assert read(tmp_path, export(tmp_path, a=[]), good="ok")[0].label == "ok"


def test_images_may_be_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    content = export(tmp_path / "train", a=[])
    assert read(tmp_path, content, root=tmp_path / "train")[0].path == "a.png"


def test_a_category_that_is_not_in_use_needs_no_rank(tmp_path: Path) -> None:
    content = export(tmp_path, a=["dent"])
    assert read(tmp_path, content, severity=["dent"])[0].label == "dent"


def test_a_category_without_a_rank_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'is a "crack", which source\.severity.*mean "crak"\?'):
        read(tmp_path, export(tmp_path, a=["crack"]), severity=["dent", "crak"])


def test_a_name_that_stands_twice_in_the_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="stands twice: dent"):
        read(tmp_path, export(tmp_path, a=[]), severity=["dent", "crack", "dent"])


def test_an_annotation_of_an_unknown_category_is_named(tmp_path: Path) -> None:
    content = export(tmp_path, a=["dent"])
    content["annotations"][0]["category_id"] = 9
    with pytest.raises(DataError, match=r"annotations\.0 has category_id 9; choose 1, 2, 3"):
        read(tmp_path, content)


def test_an_annotation_of_an_unlisted_image_is_named(tmp_path: Path) -> None:
    content = export(tmp_path, a=["dent"])
    content["annotations"][0]["image_id"] = 99
    with pytest.raises(DataError, match="images that it does not list: image_id 99"):
        read(tmp_path, content)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    content = export(tmp_path, a=[])
    content["images"].append({"id": 77, "file_name": "a.png"})
    with pytest.raises(DataError, match=r"images\.1 names a\.png, as .*images\.0 did"):
        read(tmp_path, content)


def test_two_images_of_one_id_are_refused(tmp_path: Path) -> None:
    content = export(tmp_path, a=[], b=[])
    content["images"][1]["id"] = content["images"][0]["id"]
    with pytest.raises(DataError, match=r"images\.1 has id 10, as an image before it"):
        read(tmp_path, content)


def test_an_image_outside_the_root_is_refused(tmp_path: Path) -> None:
    content = export(tmp_path, a=[])
    content["images"][0]["file_name"] = "../b.png"
    with pytest.raises(DataError, match=r"images\.0 names \.\./b\.png, which is not in"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", r"coco\.json: Invalid JSON"),
        ('{"images": [', r"coco\.json: Invalid JSON"),
        ('{"images": [], "annotations": []}', r"coco\.json: categories: Field required; expected"),
        ('{"images": [{"id": 1}]}', r"coco\.json: images\.0\.file_name: Field required"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no images"),
    ],
)
def test_a_file_of_another_form_is_refused_with_where_it_differs(
    tmp_path: Path, content: str, fault: str
) -> None:
    with pytest.raises(DataError, match=fault):
        read(tmp_path, content)


def test_a_missing_file_names_its_setting(tmp_path: Path) -> None:
    config = coco.Config(type="coco", file=tmp_path / "none.json", severity=("dent",))
    with pytest.raises(DataError, match=r"none\.json \(source\.file in ingest\.yaml\) cannot be"):
        coco.read(config)
