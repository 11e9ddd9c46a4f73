"""Which brightness, contrast and sharpness is usual, and which image is far from it."""

from __future__ import annotations

from pipeline.datasets.checks.ranges import outliers, ranges
from pipeline.imaging.quality import Quality


def qualities(n: int = 40) -> list[Quality]:
    return [Quality(120.0 + i % 9, 30.0 + i % 4, 80.0 + 5 * (i % 7)) for i in range(n)]


def test_quantiles_are_reported_for_each_class_from_least_to_greatest() -> None:
    told = ranges([Quality(10, 1, 1), Quality(20, 2, 2), Quality(90, 9, 9)], ["a", "a", "b"])
    assert told["a"]["brightness"][0::3] == [10, 15, 20]
    assert set(told["b"]["sharpness"]) == {9}


def test_one_dark_picture_among_others_is_named_with_its_value() -> None:
    seen = [*qualities(), Quality(12.0, 31.0, 90.0)]
    (found,) = outliers(seen, ["good"] * 41)
    assert (found.row, found.measure, found.value) == (40, "brightness", 12.0)
    assert found.z < 0


def test_a_blurred_picture_is_found_on_the_logarithm() -> None:
    (found,) = outliers([*qualities(), Quality(124.0, 31.0, 0.5)], ["good"] * 41)
    assert (found.row, found.measure) == (40, "sharpness")


def test_ordinary_pictures_are_not_named() -> None:
    assert outliers(qualities(), ["good"] * 40) == []


def test_a_class_that_is_dark_as_a_whole_has_no_outliers() -> None:
    dark = [Quality(q.brightness - 80, q.contrast, q.sharpness) for q in qualities(15)]
    assert outliers([*qualities(), *dark], ["good"] * 40 + ["burnt"] * 15) == []


def test_a_hair_of_difference_in_an_even_data_set_is_not_an_outlier() -> None:
    same = [Quality(120.0, 30.0, 80.0)] * 30
    assert outliers([*same, Quality(121.0, 30.2, 81.0)], ["good"] * 31) == []
