"""Shares with exact intervals, against tables and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.metrics.rates import (
    Rate,
    grouped_share,
    lower_bound,
    percent,
    samples_needed,
    share,
    share_in_words,
    upper_bound,
)

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (1, 20, 0.0013, 0.2487),
        (5, 10, 0.1871, 0.8129),
        (0, 100, 0.0, 0.0362),
        (2, 100, 0.0024, 0.0704),
    ],
)
def test_intervals_are_those_of_the_tables(k: int, n: int, low: float, high: float) -> None:
    assert Rate(k, n).ci95 == pytest.approx([low, high], abs=5e-5)
    assert Rate(k, n).value == k / n


def test_a_rate_of_nothing_is_not_defined() -> None:
    assert (Rate(0, 0).value, Rate(0, 0).ci95) == (None, None)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(COUNTS)
def test_an_interval_contains_its_rate_and_lies_between_none_and_all(
    counts: tuple[int, int],
) -> None:
    rate = Rate(*counts)
    assert rate.value is not None
    assert rate.ci95 is not None
    low, high = rate.ci95
    assert 0 <= low <= rate.value <= high <= 1


@pytest.mark.parametrize("truth", [0.02, 0.1, 0.5])
def test_at_least_94_of_100_intervals_contain_the_truth(truth: float) -> None:
    n = 60
    interval = [Rate(k, n).ci95 or [0, 0] for k in range(n + 1)]
    drawn = np.random.default_rng(0).binomial(n, truth, size=2000)
    assert np.mean([interval[k][0] <= truth <= interval[k][1] for k in drawn]) >= 0.94


def test_the_upper_bound_without_a_miss_is_the_rule_of_three() -> None:
    assert upper_bound(0, 300, 0.95) == pytest.approx(3 / 300, rel=0.01)
    assert upper_bound(0, 10, 0.95) == pytest.approx(1 - 0.05**0.1)


def test_the_upper_bound_on_nothing_but_misses_is_all() -> None:
    assert upper_bound(10, 10, 0.95) == 1.0


@settings(max_examples=80, deadline=None, derandomize=True)
@given(COUNTS, st.sampled_from([0.8, 0.95, 0.975]))
def test_bounds_are_those_of_the_binomial_test(counts: tuple[int, int], confidence: float) -> None:
    k, n = counts
    for side, bound in (("less", upper_bound), ("greater", lower_bound)):
        interval = binomtest(k, n, alternative=side).proportion_ci(confidence, method="exact")
        expected = interval.high if side == "less" else interval.low
        assert bound(k, n, confidence) == pytest.approx(expected, abs=1e-9)


def test_fewer_parts_at_the_same_share_give_wider_bounds() -> None:
    assert upper_bound(1.5, 30.0, 0.95) > upper_bound(5, 100, 0.95)
    assert lower_bound(1.5, 30.0, 0.95) < lower_bound(5, 100, 0.95)


def test_a_share_in_words_has_its_counts_and_its_interval() -> None:
    assert (
        share_in_words(share(3, 90), "bad parts pass")
        == "3 of 90 bad parts pass (3.3 %, 0.69 to 9.4 %)"
    )
    assert share_in_words(share(0, 0), "bad parts pass") == "0 of 0 bad parts pass"
    assert share(0, 0).model_dump() == {"k": 0, "n": 0, "value": None, "low": None, "high": None}


def test_the_one_sided_bound_lies_below_the_two_sided_one() -> None:
    two_sided = Rate(3, 50).ci95
    assert two_sided is not None
    assert 3 / 50 < upper_bound(3, 50, 0.95) < two_sided[1]


def test_the_upper_bound_is_exceeded_as_rarely_as_promised() -> None:
    n, truth = 60, 0.1
    bound = [upper_bound(k, n, 0.9) for k in range(n + 1)]
    drawn = np.random.default_rng(0).binomial(n, truth, size=2000)
    assert np.mean([bound[k] >= truth for k in drawn]) >= 0.89


@pytest.mark.parametrize(("limit", "n"), [(0.05, 59), (0.01, 299), (0.1, 29)])
def test_samples_needed_are_those_of_the_tables(limit: float, n: int) -> None:
    assert samples_needed(limit, 0.95) == n


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.floats(0.005, 0.5), st.floats(0.5, 0.99))
def test_samples_needed_prove_the_limit_and_one_fewer_does_not(
    limit: float, confidence: float
) -> None:
    n = samples_needed(limit, confidence)
    assert upper_bound(0, n, confidence) <= limit * (1 + 1e-9)
    assert n == 1 or upper_bound(0, n - 1, confidence) > limit * (1 - 1e-9)


@pytest.mark.parametrize(
    ("n_groups", "size", "truth"), [(30, 10, 0.2), (9, 60, 0.02), (44, 4, 0.05)]
)
def test_at_least_94_of_100_intervals_hold_where_parts_of_a_group_are_alike(
    n_groups: int, size: int, truth: float
) -> None:
    """Intra-class correlation 0.25; Clopper and Pearson alone hold far more rarely."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), size)
    held: list[bool] = []
    alone: list[bool] = []
    for _ in range(2000):
        chances = rng.beta(3 * truth, 3 * (1 - truth), n_groups).repeat(size)
        counted = rng.random(len(groups)) < chances
        for found, which in (
            (grouped_share(counted, groups), held),
            (grouped_share(counted), alone),
        ):
            assert found.low is not None
            assert found.high is not None
            which.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.94
    assert np.mean(alone) < 0.9


def test_a_share_of_parts_without_groups_has_clopper_and_pearsons_interval() -> None:
    counted = np.arange(90) < 3
    assert grouped_share(counted, [str(i) for i in range(90)]) == share(3, 90)
    assert grouped_share(counted) == share(3, 90)
    assert grouped_share(counted[:0], []) == share(0, 0)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=50))
def test_an_interval_by_groups_contains_its_share(parts: list[tuple[bool, int]]) -> None:
    found = grouped_share(np.array([p for p, _ in parts]), [str(g) for _, g in parts])
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0525, "5.3"), (0.00685, "0.69"), (0.0, "0"), (1.0, "100"), (0.1, "10.0"), (0.125, "12.5")],
)
def test_one_rule_rounds_every_share(value: float, written: str) -> None:
    assert percent(value) == written
