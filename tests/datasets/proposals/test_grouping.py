"""Groups that names suggest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.grouping import Pattern
from pipeline.datasets.proposals.grouping import automatic, propose_groups


def samples(*paths: str) -> list[Sample]:
    return [Sample(path, path, "good", path) for path in paths]


def test_groups_that_the_data_set_names_are_taken() -> None:
    own = [Sample(str(i), f"{i}.png", "good", f"module-{i // 2}") for i in range(8)]
    assert propose_groups(own).settings == {"by": "source"}


@pytest.mark.parametrize(
    "views",
    [("front", "back"), ("a", "b", "c"), ("1", "2"), ("0", "1", "2"), ("cam1", "cam12"), ("", "2")],
)
def test_views_of_one_part_are_kept_together(views: tuple[str, ...]) -> None:
    parts = [f"good/P00{i}" for i in range(5)]
    given = samples(*(f"{part}{view and '_' + view}.png" for part in parts for view in views))
    proposed = propose_groups(given)
    assert isinstance(proposed.choice, Pattern)
    groups = proposed.choice.groups(given, Path())
    assert sorted(set(groups)) == [f"P00{i}" for i in range(5)]
    assert f"{len(given)} images of 5 parts" in proposed.reason


def test_the_pattern_names_the_views_that_there_are() -> None:
    given = samples(*(f"P{i}_{view}.png" for i in range(4) for view in ("top", "side")))
    assert propose_groups(given).settings["pattern"] == (
        r"([^/]*?\d[^/]*?)(?:[ _-](?:side|top))\.[^./]+$"
    )


@pytest.mark.parametrize(
    "paths",
    [
        [f"good/{i:04d}.png" for i in range(9)],
        [f"{label}/{i:04d}.png" for label in ("good", "crack") for i in range(9)],
        [f"crack_{i}.png" for i in range(9)],
        [f"cast_def_0_{i}.png" for i in (3, 17, 29, 44, 46, 81, 90)] + ["cast_def_1_7.png"],
        [f"2026-11-{day}_{i}.png" for day in (27, 28, 29) for i in range(40)],
        ["left.png", "right.png", "top.png", "bottom.png"],
        ["P1_1.png", "P1_2.png", *(f"P{i}.png" for i in range(2, 20))],
    ],
    ids=["numbers", "same-numbers-in-classes", "class-and-number", "gaps", "days", "bare", "few"],
)
def test_numbers_of_a_series_are_no_views(paths: list[str]) -> None:
    assert propose_groups(samples(*paths)).settings == {"by": "automatic"}


def test_times_in_names_are_shown_as_another_choice() -> None:
    given = samples(*(f"IMG_20261128_1{i}3000.jpg" for i in range(5)))
    assert 'format: "%Y%m%d_%H%M%S"' in automatic(given).alternative
    assert automatic(samples("a.png")).alternative == ""
