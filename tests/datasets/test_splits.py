"""No part on two sides, and the sides as large as was asked."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.splits import (
    FEW_SHOTS,
    Shares,
    assign,
    assign_folds,
    complete,
    crossing,
    folds_of_training,
    join_duplicates,
)
from pipeline.errors import DataError

GROUPS = [f"g{i // 4:03d}" for i in range(400)]
LABELS = np.random.default_rng(0).choice(["good", "bad"], 400, p=[0.7, 0.3]).tolist()


def shares(splits: list[str]) -> dict[str, float]:
    return {name: n / len(splits) for name, n in Counter(splits).items()}


def split(val: float = 0.2, test: float = 0.2, seed: int = 0) -> list[str]:
    return assign(LABELS, GROUPS, Shares(val, test, seed))


def test_no_group_stands_on_two_sides() -> None:
    assert crossing(GROUPS, split()) == []


@pytest.mark.slow
def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    assert split(seed=3) == split(seed=3)
    assert split(seed=3) != split(seed=4)


@pytest.mark.parametrize(
    ("val", "test"),
    [
        (0.2, 0.2),
        (0.1, 0.1),
        (0.15, 0.15),
        (0.3, 0.3),
        (0.1, 0.3),
        (0.4, 0.2),
        (0.2, 0.4),
        (0.04, 0.04),
        (0.02, 0.1),
        (0.1, 0.02),
    ],
)
def test_the_sides_are_about_as_large_as_asked(val: float, test: float) -> None:
    got = shares(split(val, test))
    assert got["val"] == pytest.approx(val, abs=0.05)
    assert got["test"] == pytest.approx(test, abs=0.05)


def test_every_side_has_about_the_same_share_of_each_class() -> None:
    splits = np.array(split())
    bad = np.array(LABELS) == "bad"
    for side in ("train", "val", "test"):
        assert bad[splits == side].mean() == pytest.approx(bad.mean(), abs=0.03)


def test_two_groups_cannot_fill_three_sides() -> None:
    with pytest.raises(DataError, match=r"^2 group\(s\) cannot fill train, val and test"):
        assign(["a", "b"] * 9, ["x", "y"] * 9, Shares(0.2, 0.2))


def test_a_class_of_too_few_images_is_named_with_how_many_it_needs() -> None:
    labels = ["common"] * 40 + ["rare"] * 4
    groups = [str(i) for i in range(44)]
    with pytest.raises(DataError, match=r"class rare has 4 image\(s\).* at least 5 of each class"):
        assign(labels, groups, Shares(0.2, 0.2))


def sides_of_rare(seed: int) -> set[str] | str:
    """Where a class of one group went, or why the data cannot be split."""
    labels = ["common"] * 90 + ["rare"] * 10
    groups = [f"g{i // 10}" for i in range(100)]
    try:
        return set(assign(labels, groups, Shares(0.2, 0.2, seed))[90:])
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_one_group_is_trained_on_or_named_as_too_rare(seed: int) -> None:
    found = sides_of_rare(seed)
    assert found == {"train"} or "class rare" in found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=3, max_size=8),
    seed=st.integers(0, 5),
    fractions=st.sampled_from([(0.2, 0.2), (0.1, 0.3), (0.45, 0.45)]),
)
def test_three_sides_are_filled_or_the_reason_is_reported(
    sizes: list[int], seed: int, fractions: tuple[float, float]
) -> None:
    groups = [f"g{i}" for i, n in enumerate(sizes) for _ in range(n)]
    labels = np.random.default_rng(seed).choice(["good", "bad"], len(groups)).tolist()
    val, test = fractions
    try:
        splits = assign(labels, groups, Shares(val, test, seed))
    except DataError:
        return
    assert set(splits) == {"train", "val", "test"}
    assert crossing(groups, splits) == []
    assert {label for label, side in zip(labels, splits, strict=True) if side == "train"} == set(
        labels
    )


def images_of_parts(label: str, least: int) -> st.SearchStrategy[list[tuple[int, str]]]:
    """Parts of one class, each with 1 to 5 images."""
    part = st.tuples(st.integers(1, 5), st.just(label))
    return st.lists(part, min_size=least, max_size=2 * least)


PARTS = st.tuples(
    images_of_parts("good", 40), images_of_parts("bad", 15), images_of_parts("worse", 15)
).map(lambda kinds: [part for kind in kinds for part in kind])


def rows_of(parts: list[tuple[int, str]]) -> tuple[list[str], list[str]]:
    """Labels and groups of the images of parts, each (how many images, class)."""
    return (
        [label for n, label in parts for _ in range(n)],
        [f"g{i:03d}" for i, (n, _) in enumerate(parts) for _ in range(n)],
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(parts=PARTS, seed=st.integers(0, 3), val=st.sampled_from([0.1, 0.2, 0.3]))
def test_where_parts_are_small_every_side_is_about_as_large_as_asked(
    parts: list[tuple[int, str]], seed: int, val: float
) -> None:
    labels, groups = rows_of(parts)
    splits = assign(labels, groups, Shares(val, 0.2, seed))
    got = shares(splits)
    assert got["val"] == pytest.approx(val, abs=0.08)
    assert got["test"] == pytest.approx(0.2, abs=0.08)
    assert splits == assign(labels, groups, Shares(val, 0.2, seed))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(parts=PARTS, seed=st.integers(0, 3))
def test_a_given_side_stays_and_the_missing_one_parts_no_group(
    parts: list[tuple[int, str]], seed: int
) -> None:
    labels, groups = rows_of(parts)
    given_split = ["test" if int(group[1:]) % 4 == 0 else "train" for group in groups]
    splits = complete(given_split, labels, groups, Shares(0.2, 0.2, seed))
    assert [s == "test" for s in splits] == [s == "test" for s in given_split]
    assert set(splits) == {"train", "val", "test"}
    assert crossing(groups, splits) == []


def shots(n: int, sides: tuple[str, ...] = ("train", "test")) -> tuple[list[str], list[str]]:
    """So many good and bad images on each side."""
    rows = [(side, label) for side in sides for label in ("good", "bad") for _ in range(n)]
    return [side for side, _ in rows], [label for _, label in rows]


def test_no_image_of_a_few_shots_is_spared_for_validation() -> None:
    sides, labels = shots(FEW_SHOTS)
    names = [f"part-{i}" for i in range(len(sides))]
    assert complete(sides, labels, names, Shares(0.2, 0.2, 0)) == sides


@pytest.mark.parametrize(("n", "given"), [(FEW_SHOTS + 1, ("train", "test")), (20, ("train",))])
def test_validation_is_taken_from_more_images_or_where_test_is_lacking_too(
    n: int, given: tuple[str, ...]
) -> None:
    sides, labels = shots(n, given)
    names = [f"part-{i}" for i in range(len(sides))]
    assert "val" in complete(sides, labels, names, Shares(0.2, 0.2, 0))


def test_validation_is_taken_from_a_few_shots_of_which_no_folds_can_be_made() -> None:
    sides, labels = shots(FEW_SHOTS)
    names = [label if side == "train" else side for side, label in zip(sides, labels, strict=True)]
    with pytest.raises(DataError):  # as before: one group cannot be parted
        complete(sides, labels, names, Shares(0.2, 0.2, 0))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    parts=st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from(["good", "bad"])), min_size=1, max_size=14
    ),
    wanted=st.sampled_from([0, 2, 3, 5]),
    seed=st.integers(0, 3),
)
def test_folds_share_no_group_and_none_is_empty(
    parts: list[tuple[int, str]], wanted: int, seed: int
) -> None:
    labels, groups = rows_of(parts)
    folds = assign_folds(labels, groups, wanted, seed)
    assert crossing(groups, [str(f) for f in folds]) == []
    assert folds == assign_folds(labels, groups, wanted, seed)
    assert sorted(set(folds)) in ([-1], list(range(max(folds) + 1)))
    assert max(folds) < max(wanted, 1)


def test_folds_have_about_the_same_share_of_each_class() -> None:
    folds, bad = np.array(assign_folds(LABELS, GROUPS, 5, 0)), np.array(LABELS) == "bad"
    for fold in range(5):
        assert bad[folds == fold].mean() == pytest.approx(bad.mean(), abs=0.03)


def test_a_class_of_few_groups_limits_the_folds() -> None:
    labels = ["good"] * 8 + ["bad"] * 3
    groups = [f"part-{i}" for i in range(8)] + ["a", "b", "b"]
    assert set(assign_folds(labels, groups, 5, 0)) == {0, 1}


@pytest.mark.parametrize("groups", [["one"] * 11, [*map(str, range(8)), "a", "a", "a"]])
def test_a_class_of_one_group_makes_folds_impossible(groups: list[str]) -> None:
    assert set(assign_folds(["good"] * 8 + ["bad"] * 3, groups, 5, 0)) == {-1}


@pytest.mark.parametrize("seed", range(5))
def test_a_test_side_of_half_of_three_groups_leaves_one_for_each_other_side(seed: int) -> None:
    groups = ["x"] * 6 + ["y"] * 6 + ["z"] * 3
    splits = assign(["a"] * 15, groups, Shares(0.2, 0.49, seed))
    assert set(splits) == {"train", "val", "test"}


def test_a_group_on_two_sides_is_found() -> None:
    assert crossing(["a", "b", "b", "c", "c"], ["train", "val", "test", "val", "val"]) == ["b"]


def test_groups_that_share_an_image_are_joined_under_the_first_name() -> None:
    assert join_duplicates(["b", "a", "c"], ["1", "1", "2"]) == ["b", "b", "c"]


def test_joining_is_transitive() -> None:
    groups = ["a", "b", "b", "c", "c", "d"]
    content = ["1", "1", "2", "2", "3", "4"]
    assert join_duplicates(groups, content) == ["a", "a", "a", "a", "a", "d"]


def test_groups_joined_late_carry_their_earlier_members_along() -> None:
    groups = ["a", "b", "c", "d", "a", "d"]
    content = ["1", "2", "2", "3", "9", "9"]
    assert join_duplicates(groups, content) == ["a", "b", "b", "a", "a", "a"]


def test_a_large_joined_group_takes_the_name_of_a_small_one_that_came_first() -> None:
    groups = ["a", "b", "c", "c"]
    assert join_duplicates(groups, ["1", "2", "2", "1"]) == ["a", "a", "a", "a"]


def test_copies_within_a_group_join_nothing() -> None:
    assert join_duplicates(["a", "a", "b"], ["1", "1", "2"]) == ["a", "a", "b"]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123456789")), max_size=12))
def test_no_image_stands_in_two_groups_once_joined(rows: list[tuple[str, str]]) -> None:
    joined = join_duplicates([g for g, _ in rows], [c for _, c in rows])
    assert crossing([c for _, c in rows], joined) == []
    assert crossing([g for g, _ in rows], joined) == []


GOOD_ONLY = Shares(0.2, 0.2, taught=("good",))


def test_the_few_bad_parts_of_a_method_for_good_ones_go_to_test_val_and_train_in_turn() -> None:
    labels, groups = ["good"] * 40 + ["bad"] * 4, [f"g{i:02d}" for i in range(44)]
    with pytest.raises(DataError, match="class bad has 4 image"):
        assign(labels, groups, Shares(0.2, 0.2))
    split = assign(labels, groups, GOOD_ONLY)
    assert split[40:] == ["test", "val", "train", "test"]
    assert Counter(split[:40]) == {"train": 24, "val": 8, "test": 8}


def test_a_bad_part_stays_with_the_good_ones_of_its_group() -> None:
    labels, groups = ["good"] * 40 + ["bad"], [f"g{i:02d}" for i in range(40)] + ["g07"]
    split = assign(labels, groups, GOOD_ONLY)
    assert split[40] == split[7]


def test_enough_bad_parts_are_spread_as_ever() -> None:
    wanted = Shares(0.2, 0.2, taught=("good",))
    assert assign(LABELS, GROUPS, wanted) == assign(LABELS, GROUPS, Shares(0.2, 0.2))


def test_a_given_split_with_good_training_parts_alone_is_kept_where_they_are_enough() -> None:
    given = ["train"] * 30 + ["test"] * 20
    labels = ["good"] * 40 + ["bad"] * 10
    groups = [f"g{i:02d}" for i in range(50)]
    with pytest.raises(DataError, match=r"no training image of class bad.*method: normal"):
        complete(given, labels, groups, Shares(0.2, 0.2))
    split = complete(given, labels, groups, GOOD_ONLY)
    assert split[30:] == ["test"] * 20
    assert set(split[:30]) == {"train", "val"}


def test_folds_are_made_of_good_parts_where_bad_ones_are_too_rare_to_stand_in_each() -> None:
    labels, groups = ["good"] * 30 + ["bad"], [f"g{i:02d}" for i in range(31)]
    splits = ["train"] * 31
    without, fewer = folds_of_training(labels, groups, splits, 5, 0)
    assert set(without) == {-1}
    assert fewer.startswith("0 folds rather than 5")
    folds, said = folds_of_training(labels, groups, splits, 5, 0, taught=("good",))
    assert (set(folds), said) == ({0, 1, 2, 3, 4}, "")
