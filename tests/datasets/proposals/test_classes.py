"""Classes that labels suggest."""

from __future__ import annotations

import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.contracts.taxonomy import Disposition
from pipeline.datasets.proposals.classes import (
    check_classes,
    labels_of,
    of_good_parts,
    propose_classes,
    with_odd_parts,
)
from pipeline.errors import DataError


def test_good_classes_come_first_and_pass_and_others_are_scrap_until_somebody_decides() -> None:
    classes = propose_classes({"crack": 3, "good": 9, "scratch": 4})
    assert [(c.name, c.disposition) for c in classes] == [
        ("good", Disposition.PASS),
        ("crack", Disposition.SCRAP),
        ("scratch", Disposition.SCRAP),
    ]


def test_a_class_that_a_person_was_unsure_of_goes_to_review() -> None:
    (_, unsure) = propose_classes({"good": 1, "unclear": 1})
    assert unsure.disposition is Disposition.REVIEW


def test_the_class_that_is_named_passes_and_no_other() -> None:
    classes = propose_classes({"good": 1, "type_a": 1}, good=["type_a"])
    assert [c.name for c in classes if c.disposition is Disposition.PASS] == ["type_a"]


def test_a_good_class_that_no_image_has_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match='no image has the class "godo"; did you mean "good"'):
        propose_classes({"good": 1, "crack": 1}, good=["godo"])


def test_labels_are_all_that_is_marked_and_not_the_provisional_one() -> None:
    box = Box("dent", 0, 0, 1, 1)
    samples = [
        Sample("a", "a", "good", "a"),
        Sample("b", "b", "scratch", "b", labels=("scratch", "crack"), boxes=(box,)),
    ]
    assert labels_of(samples) == {"crack": 1, "dent": 1, "good": 1, "scratch": 1}


@pytest.mark.parametrize(
    ("images", "good", "reason"),
    [
        ({"parts": 3}, [], "all images in home are parts; .* good parts, give --good parts: such"),
        ({"crack": 3, "dent": 2}, [], "none of these names means a good part.*--good CLASS"),
        ({"crack": 3, "dent": 2}, ["crack", "dent"], "all of them pass"),
    ],
)
def test_classes_that_make_no_taxonomy_are_refused(
    images: dict[str, int], good: list[str], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        check_classes(propose_classes(images, good), "home")


def test_good_parts_alone_get_a_class_for_what_is_unlike_them() -> None:
    classes = with_odd_parts(propose_classes({"good": 3}))
    assert [(c.name, c.disposition, c.images) for c in classes[1:]] == [
        ("defective", Disposition.SCRAP, 0)
    ]
    assert of_good_parts(classes)
    assert check_classes(classes, "home").good == ("good",)
    assert with_odd_parts(propose_classes({"good": 3, "crack": 1}))[2:] == []
    assert not of_good_parts(propose_classes({"crack": 3}))


def test_proposed_classes_are_a_taxonomy() -> None:
    taxonomy = check_classes(propose_classes({"crack": 3, "good": 2}), "home")
    assert (taxonomy.names, taxonomy.good) == (("good", "crack"), ("good",))
