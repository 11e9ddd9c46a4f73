"""The check that good parts can be known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets.listings.passing import check_passing, check_several, nothing_passes
from pipeline.errors import DataError


def taxonomy(**dispositions: str) -> Taxonomy:
    return Taxonomy(
        classes=tuple(
            PartClass(name=name, disposition=Disposition(what))
            for name, what in dispositions.items()
        )
    )


def test_a_taxonomy_in_which_nothing_passes_is_named_with_what_follows() -> None:
    two = taxonomy(dent="rework", crack="scrap")
    check_passing({"dent", "crack"}, two, Path("images"))
    (line,) = nothing_passes(two)
    assert line.startswith("no class in taxonomy.yaml passes (dent, crack): kinds of defects")
    assert nothing_passes(taxonomy(good="pass", crack="scrap")) == []


def test_a_class_that_passes_without_an_image_is_named() -> None:
    three = taxonomy(good="pass", stained="pass", bad="scrap")
    with pytest.raises(DataError, match=r"^no image in images is stained, which passes"):
        check_passing({"good", "bad"}, three, Path("images"))


def test_images_that_no_list_names_are_named_where_they_may_be_the_good_ones() -> None:
    two = taxonomy(good="pass", bad="scrap")
    with pytest.raises(
        DataError, match=r"2 image\(s\) there are not listed: x\.png, y\.png; .*unlisted: good"
    ):
        check_passing({"bad"}, two, Path("images"), ["x.png", "y.png"])


def test_with_an_image_of_each_class_that_passes_all_is_well() -> None:
    check_passing({"good"}, taxonomy(good="pass", bad="scrap"), Path("images"))


def test_good_parts_alone_are_refused_with_the_method_that_needs_no_others() -> None:
    two = taxonomy(good="pass", bad="scrap")
    with pytest.raises(DataError, match=r"add images of bad, or set method: normal in train\.yaml"):
        check_several(["good"] * 12, two, Path("images"), 0)


def test_bad_parts_alone_are_refused_without_such_a_way() -> None:
    two = taxonomy(good="pass", bad="scrap")
    with pytest.raises(DataError, match=r"add images of good$"):
        check_several(["bad"] * 12, two, Path("images"), 0)


def test_two_classes_are_several() -> None:
    check_several(["good", "bad"], taxonomy(good="pass", bad="scrap"), Path("images"), 0)
