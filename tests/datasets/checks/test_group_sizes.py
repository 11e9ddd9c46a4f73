"""Groups that are too large to divide, and test sides with too few of them."""

from __future__ import annotations

from pipeline.datasets.checks.group_sizes import (
    few_test_groups,
    groups_by_kind,
    largest_group,
)

PATHS = [f"{i:02d}.png" for i in range(20)]


def test_a_group_that_look_alikes_made_names_them_and_the_setting_that_parts_them() -> None:
    groups = ["a"] * 12 + PATHS[12:]
    found = largest_group(groups, PATHS, PATHS)
    assert found is not None
    assert (found.images, found.joined) == (12, 12)
    assert "has 12 of 20 images (60%), such as 00.png and 11.png" in found.note
    assert "look-alikes joined 12 groups" in found.note
    assert "split.near_duplicates to false" in found.note


def test_a_large_group_of_the_settings_own_asks_for_smaller_ones() -> None:
    groups = ["a"] * 12 + PATHS[12:]
    found = largest_group(groups, groups, PATHS)
    assert found is not None
    assert "set split.groups in ingest.yaml to name smaller ones" in found.note


def test_small_groups_are_not_worth_a_sentence() -> None:
    found = largest_group(PATHS, PATHS, PATHS)
    assert found is not None
    assert found.note == ""
    assert largest_group([], [], []) is None


def test_groups_of_good_and_bad_parts_are_counted_by_side() -> None:
    counted = groups_by_kind(
        ["ok", "ok", "crack", "stain"], ["a", "b", "b", "c"], ["test", "train", "test", "val"], "ok"
    )
    assert counted == {"good": {"all": 2, "test": 1}, "bad": {"all": 2, "test": 1}}


def test_few_groups_in_test_are_named_with_the_share_that_gives_more() -> None:
    counted = {"good": {"all": 40, "test": 8}, "bad": {"all": 14, "test": 3}}
    (note,) = few_test_groups(counted, 0.2, given=False)
    assert note.startswith("test has bad parts of 3 group(s) only, of 14 in all")
    assert "rate of escapes" in note
    assert "split.test_fraction in ingest.yaml to 0.36" in note


def test_groups_that_no_share_can_provide_are_asked_for_by_number() -> None:
    (note,) = few_test_groups({"bad": {"all": 6, "test": 1}}, 0.2, given=False)
    assert "give bad parts of 19 more group(s)" in note


def test_a_given_split_with_few_groups_in_test_has_a_remedy_of_its_own() -> None:
    (note,) = few_test_groups({"good": {"all": 30, "test": 4}}, 0.2, given=True)
    assert "move groups to test, or set split.given in ingest.yaml to ignore" in note
