"""Labels become classes; of several the gravest by the taxonomy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.annotations.classes import classified, note, provisional
from pipeline.errors import DataError

TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "crack", "disposition": "scrap", "severity": 8, "aliases": ["Riss"]},
            {"name": "stain", "disposition": "rework", "severity": 2},
        ]
    }
)


def marked(*labels: str) -> Sample:
    boxes = tuple(Box(label, 0, 0, 1, 1) for label in labels)
    return Sample("a.png", "a.png", labels[0], "a.png", labels=labels, boxes=boxes)


def test_an_alias_becomes_its_class() -> None:
    (only,) = classified([Sample("a", "a", "Riss", "a")], TAXONOMY, Path())
    assert only == Sample("a", "a", "crack", "a")


def test_of_all_that_is_marked_the_gravest_is_the_class_and_the_boxes_stay() -> None:
    (only,) = classified([marked("stain", "Riss", "stain")], TAXONOMY, Path())
    assert only.label == "crack"
    assert [box.label for box in only.boxes] == ["stain", "crack", "stain"]
    assert only.labels == ()


def test_a_label_that_is_decided_stays_whatever_else_is_marked() -> None:
    sample = Sample("a", "a", "stain", "a", boxes=(Box("crack", 0, 0, 1, 1),))
    assert classified([sample], TAXONOMY, Path())[0].label == "stain"


def test_a_label_that_no_class_has_is_named_with_its_image() -> None:
    with pytest.raises(DataError, match=r'^root/a\.png: class "dent" is not in the taxonomy'):
        classified([marked("stain", "dent")], TAXONOMY, Path("root"))


def test_a_box_of_what_has_no_class_keeps_its_label() -> None:
    sample = Sample("a", "a", "stain", "a", boxes=(Box("dent", 0, 0, 1, 1),))
    assert classified([sample], TAXONOMY, Path())[0].boxes == sample.boxes


def test_without_a_taxonomy_an_image_is_what_is_marked_most() -> None:
    assert provisional(["stain", "crack", "crack"]) == "crack"


def test_images_of_several_kinds_are_counted_for_the_reader() -> None:
    (sentence,) = note([marked("stain", "crack"), marked("stain", "stain"), marked("stain")])
    assert sentence.startswith("1 image(s) show more than one kind")
    assert note([marked("stain", "stain")]) == []
