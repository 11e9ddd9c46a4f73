"""What test parts prove of a promised share, and how many more would."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.contracts.evaluation import CheckState
from pipeline.metrics.proof import JudgedShare, enough_to_judge, judge_share


def judged(k: int, n: int, size: int = 1, limit: float = 0.1, sure: float = 0.8) -> JudgedShare:
    """k of n missed, spread evenly over groups of `size`."""
    missed = np.zeros(n, bool)
    missed[np.linspace(0, n - 1, k).astype(int)] = True
    return judge_share(missed, np.arange(n) // size, limit, sure)


@pytest.mark.parametrize(
    ("k", "n", "state"),
    [
        (0, 15, CheckState.NOT_PROVEN),  # 15.3 are needed without a miss
        (0, 16, CheckState.PASSED),
        (2, 50, CheckState.PASSED),
        (5, 50, CheckState.NOT_PROVEN),
        (12, 50, CheckState.FAILED),
    ],
)
def test_a_share_is_confirmed_contradicted_or_not_proven(k: int, n: int, state: str) -> None:
    assert judged(k, n).state == state


def test_a_share_of_no_parts_is_not_proven_and_the_fewest_that_would_do_are_named() -> None:
    found = judged(0, 0)
    assert (found.state, found.more_parts) == (CheckState.NOT_PROVEN, 16)


def test_the_parts_that_are_missing_prove_it_when_they_are_added_and_one_less_does_not() -> None:
    found = judged(1, 20)
    assert found.more_parts
    n, worse = 20 + found.more_parts, round((20 + found.more_parts) / 20)
    assert judged(worse, n + 10).state is CheckState.PASSED
    assert judged(0, 12).more_parts == 4


def test_parts_of_few_groups_prove_less_than_as_many_of_their_own() -> None:
    assert judged(0, 60).state is CheckState.PASSED
    found = judged(0, 60, size=20)
    assert found.state is CheckState.NOT_PROVEN
    assert found.more_groups
    assert found.more_parts == 20 * found.more_groups
    assert judged(0, 60 + found.more_parts, size=20).state is CheckState.PASSED
    assert judged(0, 40 + found.more_parts, size=20).state is CheckState.NOT_PROVEN


def test_a_share_beyond_the_promise_is_not_proven_by_more_parts_like_these() -> None:
    found = judged(3, 20)
    assert found.more_parts is None
    assert found.power_parts == 15  # 35 show twice the share


def test_a_single_group_proves_nothing() -> None:
    found = judged(0, 500, size=500)
    assert found.state is CheckState.NOT_PROVEN
    assert judged(500, 500, size=500, sure=0.95).state is CheckState.NOT_PROVEN


@pytest.mark.parametrize(("sure", "parts"), [(0.8, 35.0), (0.975, 85.3)])
def test_as_many_parts_judge_a_doubling_as_the_formula_wants(sure: float, parts: float) -> None:
    assert enough_to_judge(0.1, sure) == pytest.approx(parts, rel=0.01)


def drawn(groups: int, rate: float, times: int = 200) -> list[CheckState]:
    """Results for tests of groups of unequal size with a long-run rate and correlated misses.

    Sizes are lognormal with median 5, misses share a normal effect of their group.
    """
    rng, found = np.random.default_rng(0), []
    for _ in range(times):
        sizes = np.maximum(1, np.rint(rng.lognormal(np.log(5), 0.8, groups))).astype(int)
        of = np.repeat(np.arange(groups), sizes)
        effect = np.sqrt(0.4) * rng.standard_normal(groups)[of]
        own = np.sqrt(0.6) * rng.standard_normal(len(of))
        found.append(judge_share(effect + own < norm.ppf(rate), of, 0.1, 0.8).state)
    return found


@pytest.mark.parametrize("groups", [9, 20, 44])
def test_at_the_promised_rate_both_errors_stay_within_the_confidence(groups: int) -> None:
    states = drawn(groups, 0.1)
    within = 200 * 0.2 + 2 * np.sqrt(200 * 0.2 * 0.8)  # two standard errors
    assert states.count(CheckState.PASSED) <= within
    assert states.count(CheckState.FAILED) <= within


@pytest.mark.parametrize(("groups", "refused"), [(9, 0.3), (20, 0.65), (44, 0.85)])
def test_a_model_that_escapes_twice_the_promise_is_hardly_ever_confirmed(
    groups: int, refused: float
) -> None:
    states = drawn(groups, 0.2)
    assert states.count(CheckState.PASSED) <= 4
    assert states.count(CheckState.FAILED) >= 200 * refused


def test_a_model_far_within_the_promise_is_confirmed_by_many_groups() -> None:
    assert drawn(44, 0.02).count(CheckState.PASSED) >= 180
