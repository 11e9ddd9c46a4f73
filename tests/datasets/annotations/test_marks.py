"""Which annotations of COCO's form mark something, and which ids are the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.datasets.annotations.marks import Geometry, Id

BOX = [10, 10, 30, 20]
RING = [1, 1, 9, 1, 9, 9]


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"bbox": BOX},
        {"bbox": BOX, "segmentation": [], "area": 0, "iscrowd": 0},
        {"bbox": [0, 0, 0, 0], "segmentation": [RING], "area": 0},
        {"segmentation": RING},
        {"area": 12.5},
        {"segmentation": {"size": [4, 4], "counts": [3, 2, 11]}},
        {"segmentation": {"size": [4, 4], "counts": "32;"}},
        {"segmentation": {"size": [4, 4], "counts": [3, 2, 11]}, "iscrowd": 1},
        {"bbox": BOX, "segmentation": {"size": [4, 4], "counts": [16]}},
    ],
)
def test_a_geometry_with_a_size_marks_something_and_so_does_none_at_all(
    geometry: dict[str, Any],
) -> None:
    assert Geometry.model_validate(geometry).marks


@pytest.mark.parametrize(
    "geometry",
    [
        {"segmentation": [], "area": 0, "bbox": [0, 0, 0, 0], "iscrowd": 0},
        {"segmentation": []},
        {"bbox": []},
        {"bbox": [10, 10, 0, 30]},
        {"bbox": [10, 10, 30, 0], "area": 0},
        {"segmentation": [[]], "bbox": [0, 0, 0, 0]},
        {"segmentation": [[5, 5, 5, 5, 5, 5]]},
        {"segmentation": [[5, 5, 5, 9, 5, 7]], "area": 0},
        {"segmentation": {"size": [4, 4], "counts": [16]}},
        {"segmentation": {"size": [4, 4], "counts": "`0"}, "area": 0},
        {"segmentation": {"size": [4, 4], "counts": []}, "iscrowd": 1, "bbox": BOX},
        {"segmentation": [], "iscrowd": 1, "bbox": BOX, "area": 600},
        {"segmentation": [RING], "iscrowd": 1},
    ],
)
def test_a_geometry_of_no_size_and_a_crowd_without_a_mask_mark_nothing(
    geometry: dict[str, Any],
) -> None:
    assert not Geometry.model_validate(geometry).marks


def test_a_box_that_is_not_numbers_is_refused() -> None:
    with pytest.raises(ValidationError):
        Geometry.model_validate({"bbox": ["left", 0, 1, 1]})


@pytest.mark.parametrize(
    ("given", "same"),
    [(7, 7), (7.0, 7), ("7", 7), (" 7 ", 7), ("7.0", 7), ("007", "007"), ("a-7", "a-7"), (0, 0)],
)
def test_ids_as_text_and_as_numbers_are_the_same(given: object, same: object) -> None:
    assert TypeAdapter(Id).validate_python(given) == same


@pytest.mark.parametrize(
    ("given", "sides"),
    [
        ({"bbox": [1, 2, 3, 4]}, (1, 2, 4, 6)),
        ({"bbox": [1, 2, 0, 4], "segmentation": [[1, 1, 5, 1, 5, 3]]}, (1, 1, 5, 3)),
        ({"segmentation": [[1, 1, 5, 1, 5, 3], [0, 9, 1, 8, 1, 9]]}, (0, 1, 5, 9)),
        ({"segmentation": [1, 1, 5, 1, 5, 3]}, (1, 1, 5, 3)),
        ({"segmentation": [["a", "b"]]}, None),
        ({"segmentation": {"counts": [1, 2], "size": [2, 2]}}, None),
        ({"bbox": [1, 2, 0, 0]}, None),
        ({}, None),
    ],
)
def test_the_box_around_an_annotation_is_its_own_or_that_of_its_polygons(
    given: dict[str, object], sides: tuple[float, ...] | None
) -> None:
    assert Geometry.model_validate(given).sides == sides
