"""Regions of Label Studio: which mark something, their labels and boxes."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contracts.sample import Box
from pipeline.datasets.annotations.regions import Region, Result, regions
from pipeline.errors import DataError


def read(*results: dict[str, Any]) -> list[Region]:
    return regions([Result.model_validate(r) for r in results], "task 1")


def region(kind: str, name: str = "", /, **value: Any) -> dict[str, Any]:
    return {"type": kind, "id": name, "from_name": "tag", "value": value}


@pytest.mark.parametrize(
    ("kind", "value", "box"),
    [
        ("rectanglelabels", {"x": 10, "y": 20, "width": 30, "height": 40}, (0.1, 0.2, 0.4, 0.6)),
        ("rectanglelabels", {"x": 90, "y": 0, "width": 20, "height": 10}, (0.9, 0.0, 1.0, 0.1)),
        ("polygonlabels", {"points": [[10, 20], [30, 20], [20, 60]]}, (0.1, 0.2, 0.3, 0.6)),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20}, (0.4, 0.3, 0.6, 0.7)),
        ("brushlabels", {"format": "rle", "rle": [1, 2]}, None),
        ("keypointlabels", {"x": 5, "y": 5, "width": 0.5}, None),
        (
            "rectanglelabels",
            {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 30},
            None,
        ),
    ],
)
def test_a_region_has_its_label_and_the_box_around_it(
    kind: str, value: dict[str, Any], box: tuple[float, ...] | None
) -> None:
    (found,) = read(region(kind, **value, **{kind: ["dent"]}))
    assert found.labels == ("dent",)
    assert found.box == (None if box is None else pytest.approx(box))


def test_a_box_is_there_once_a_label() -> None:
    shape = {"x": 0, "y": 0, "width": 50, "height": 50}
    (found,) = read(region("rectanglelabels", **shape, rectanglelabels=["dent", "crack"]))
    assert found.boxes() == [
        Box("dent", 0, 0, 0.5, 0.5, relative=True),
        Box("crack", 0, 0, 0.5, 0.5, relative=True),
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("rectanglelabels", {"x": 1, "y": 1, "width": 0, "height": 4}),
        ("ellipselabels", {"x": 1, "y": 1, "radiusX": 3, "radiusY": 0}),
        ("polygonlabels", {"points": [[1, 1], [2, 2], [1, 1]]}),
        ("rectangle", {"x": 1, "y": 1, "width": 0, "height": 0}),
    ],
)
def test_a_region_of_no_size_marks_nothing(kind: str, value: dict[str, Any]) -> None:
    assert read(region(kind, **value, **{kind: ["dent"]})) == []


def test_a_shape_that_another_tag_names_counts_once() -> None:
    shape = {"x": 10, "y": 20, "width": 30, "height": 40}
    found = read(region("rectangle", "r1", **shape), region("labels", "r1", **shape, labels=["a"]))
    assert [r.labels for r in found] == [("a",)]


def test_a_shape_that_nobody_named_is_refused() -> None:
    with pytest.raises(DataError, match=r"task 1 has a region \(rectangle\) without a label"):
        read(region("rectangle", "r1", x=10, y=20, width=30, height=40))


def test_other_results_are_not_regions() -> None:
    assert read(region("choices", choices=["good"]), region("textarea", text=["x"])) == []
