"""What parts are worth when those of a group fail together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.metrics.clustering import (
    codes,
    correlation,
    effective_number,
    effective_numbers,
    paired_p,
)
from pipeline.metrics.rates import lower_bound

GROUPED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(GROUPED, st.sampled_from([0.02, 0.1, 0.4]))
def test_parts_are_never_worth_more_than_they_are(
    parts: list[tuple[int, bool]], limit: float
) -> None:
    groups, missed = [str(g) for g, _ in parts], np.array([m for _, m in parts])
    worth = effective_numbers(codes(groups), limit, 0.95)
    assert worth.shape == (len(parts),)
    assert (worth >= 1).all()
    assert (worth <= len(parts)).all()
    assert 1 <= effective_number(missed, groups, 0.95) <= len(parts)


def test_whole_groups_that_fail_are_worth_as_much_as_there_are_groups() -> None:
    missed = np.repeat(np.arange(50) < 10, 20)
    groups = [f"g{i // 20}" for i in range(1000)]
    # 49 of 50: the variance of a share is estimated with one degree of freedom less.
    assert effective_number(missed, groups, 0.975) == pytest.approx(49, rel=0.06)


@pytest.mark.parametrize(("groups", "least"), [(500, 0.93), (50, 0.7), (9, 0.25)])
def test_misses_that_spread_evenly_lose_the_less_the_more_groups_show_it(
    groups: int, least: float
) -> None:
    missed, n = np.tile(np.arange(20) < 2, groups), 20 * groups
    worth = effective_number(missed, np.arange(n) // 20, 0.95)
    assert least * n < worth < (least + 0.1) * n


def test_fewer_groups_are_worth_less() -> None:
    missed = np.random.default_rng(0).random(600) < 0.2
    many = effective_number(missed, [f"g{i % 100}" for i in range(600)], 0.95)
    few = effective_number(missed, [f"g{i % 4}" for i in range(600)], 0.95)
    assert few < many / 2


def test_the_order_of_parts_that_are_missed_decides_nothing() -> None:
    rng = np.random.default_rng(0)
    missed, groups = rng.random(200) < 0.2, np.array([f"g{g}" for g in rng.integers(0, 20, 200)])
    shuffled = rng.permutation(200)
    assert effective_number(missed, groups.tolist(), 0.95) == pytest.approx(
        effective_number(missed[shuffled], groups[shuffled].tolist(), 0.95)
    )


def test_an_interval_with_groups_covers_the_truth_where_one_without_does_not() -> None:
    rng = np.random.default_rng(0)
    groups, n, truth = [f"g{i // 10}" for i in range(300)], 300, 0.2
    with_groups, without = [], []
    for _ in range(400):
        missed = np.repeat(rng.beta(0.4, 1.6, 30), 10) > rng.random(n)
        k = int(missed.sum())
        worth = effective_number(missed, groups, 0.95)
        with_groups.append(lower_bound(k / n * worth, worth, 0.95) <= truth)
        without.append(lower_bound(k, n, 0.95) <= truth)
    assert np.mean(with_groups) >= 0.95
    assert np.mean(without) < 0.9


def test_few_misses_do_not_make_parts_of_a_group_independent() -> None:
    """No miss at all shows no pattern; it is not proof that groups do not matter."""
    none, groups = np.zeros(540, bool), [f"g{i // 60}" for i in range(540)]
    for missed in (none, ~none):
        assert effective_number(missed, groups, 0.975) < 540 / 5
    pairs = [f"g{i // 2}" for i in range(540)]
    assert 200 < effective_number(none, pairs, 0.975) < 540 / 2


def test_misses_of_one_group_alone_are_correlated_and_those_of_all_alike_are_not() -> None:
    groups = np.arange(60) // 10
    assert correlation(groups == 0, groups) == 1.0
    assert correlation(np.arange(60) % 10 == 0, groups) == 0.0
    assert correlation(np.arange(60) % 10 == 0, np.arange(60)) == 0.0


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (1, 9), (7, 12), (30, 60)])
def test_without_groups_the_paired_test_is_mcnemars(ours: int, theirs: int) -> None:
    differences = np.array([1] * ours + [-1] * theirs + [0] * 20)
    expected = binomtest(ours, ours + theirs).pvalue if ours + theirs else 1.0
    assert paired_p(differences, np.arange(len(differences))) == pytest.approx(expected)


def test_groups_that_agree_as_wholes_are_tossed_as_wholes() -> None:
    """Four groups of ten for one side: 2 of 2^4 tosses are as extreme, by hand."""
    differences = np.ones(40, np.intp)
    assert paired_p(differences, [f"g{i // 10}" for i in range(40)]) == pytest.approx(2 / 16)


def test_groups_of_unequal_weight_are_tossed_with_their_weight() -> None:
    """3, 1 and 1: of the eight sums four are at least 3 from nothing."""
    differences = np.array([1, 1, 1, 1, -1])
    assert paired_p(differences, ["a", "a", "a", "b", "c"]) == pytest.approx(6 / 8)


def test_one_group_proves_nothing_of_two_judges() -> None:
    assert paired_p(np.ones(50, np.intp), ["module"] * 50) == 1.0
    assert paired_p(np.zeros(0, np.intp), []) == 1.0


def test_two_models_that_are_alike_are_distinguished_as_rarely_as_promised() -> None:
    """Each module suits one model or the other; one toss a part would be wrong half the time."""
    rng = np.random.default_rng(0)
    groups, by_group, by_part = np.repeat(np.arange(20), 30), [], []
    for _ in range(400):
        ours, theirs = (rng.random(600) < np.repeat(rng.beta(4, 1, 20), 30) for _ in range(2))
        differences = ours.astype(np.intp) - theirs
        by_group.append(paired_p(differences, groups) < 0.05)
        by_part.append(paired_p(differences, np.arange(600)) < 0.05)
    assert np.mean(by_group) <= 0.07
    assert np.mean(by_part) > 0.3
