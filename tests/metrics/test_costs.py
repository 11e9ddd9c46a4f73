"""The limits that cost least, against trying every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.choice import ABOVE_ALL, Parts
from pipeline.metrics.costs import Cost, expected_cost
from pipeline.metrics.operating_point import choose

PARTS = st.lists(
    st.tuples(st.sampled_from(np.linspace(0, 1, 9).tolist()), st.booleans()),
    min_size=2,
    max_size=40,
)
PRICES = st.sampled_from([0.1, 1.0, 3.0, 50.0])


@settings(max_examples=120, deadline=None, derandomize=True)
@given(PARTS, PRICES, PRICES, PRICES, st.sampled_from([None, 0.01, 0.6]))
def test_no_pair_of_limits_costs_less_nor_passes_fewer_at_that_cost(
    parts: list[tuple[float, bool]],
    escape: float,
    reject: float,
    review: float,
    bad_share: float | None,
) -> None:
    scores, bad = np.array([s for s, _ in parts]), np.array([b for _, b in parts])
    if bad.all() or not bad.any():
        return
    policy = Cost(type="cost", escape=escape, reject=reject, review=review, bad_share=bad_share)
    point = choose(policy, scores, bad).point
    given_parts = Parts(scores, bad)
    found = expected_cost(policy, given_parts, point)
    limits = [0.0, *np.unique(scores), ABOVE_ALL]
    for pass_below in limits:
        for fail_from in limits:
            if fail_from < pass_below:
                continue
            other = OperatingPoint(pass_below=pass_below, fail_from=fail_from)
            cost = expected_cost(policy, given_parts, other)
            assert found <= cost + 1e-9
            if cost < found + 1e-13:
                assert (scores < point.pass_below).sum() <= (scores < pass_below).sum()


def test_a_dear_escape_lowers_the_pass_limit() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.beta(5, 2, 300), rng.beta(2, 5, 300)])
    bad = np.repeat([True, False], 300)
    cheap, dear = (
        choose(Cost(type="cost", escape=price, reject=10, review=1), scores, bad).point
        for price in (5, 500)
    )
    assert dear.pass_below < cheap.pass_below


def test_without_gain_from_looking_nothing_goes_to_review() -> None:
    rng = np.random.default_rng(0)
    scores, bad = rng.random(500), rng.random(500) < 0.5
    point = choose(Cost(type="cost", escape=1, reject=1, review=10), scores, bad).point
    assert point.pass_below == point.fail_from


def test_rare_bad_parts_let_more_pass() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.beta(5, 2, 300), rng.beta(2, 5, 300)])
    bad = np.repeat([True, False], 300)
    as_in_data, rare = (
        choose(Cost(type="cost", escape=20, reject=5, review=1, bad_share=share), scores, bad)
        for share in (None, 0.001)
    )
    assert rare.point.pass_below > as_in_data.point.pass_below
    assert "at 0.10 % bad parts" in rare.sentences[0]


def test_where_everything_separates_nothing_is_paid() -> None:
    policy = Cost(type="cost", escape=100, reject=10, review=1)
    choice = choose(policy, np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert choice.point == OperatingPoint(pass_below=0.5, fail_from=0.5)
    assert choice.proven
    assert choice.sentences[0].startswith("the limits cost 0 a part on average at 50.0 % bad parts")


def test_parts_that_all_score_alike_are_looked_at_when_that_is_cheapest() -> None:
    policy = Cost(type="cost", escape=100, reject=100, review=1)
    point = choose(policy, np.full(20, 0.5), np.arange(20) < 10).point
    assert point.pass_below <= 0.5 < point.fail_from


@pytest.mark.parametrize("kind", [True, False])
def test_without_one_kind_of_part_every_part_goes_to_review(kind: bool) -> None:
    policy = Cost(type="cost", escape=10, reject=5, review=1)
    choice = choose(policy, np.array([0.2, 0.4]), np.array([kind, kind]))
    assert choice.point == OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL)
    assert not choice.proven
