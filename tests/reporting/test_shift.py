"""Rates as parts of a shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.contracts.bundle import OperatingPoint
from pipeline.reporting.shift import sentences
from pipeline.reporting.tradeoff import Tradeoff

PROMISE: dict[str, Any] = {"policy": "max_escape"}
COSTS: dict[str, Any] = {"policy": "cost", "escape": 100.0, "reject": 10.0, "review": 1.0}


def parts(good: list[float], bad: list[float]) -> Tradeoff:
    """Parts of these scores; below 0.2 they pass, from 0.8 they fail."""
    scores = np.array([*good, *bad])
    return Tradeoff(
        scores=scores,
        failing=scores,
        bad=np.arange(len(scores)) >= len(good),
        complained=np.zeros(len(scores), bool),
        point=OperatingPoint(pass_below=0.2, fail_from=0.8),
    )


def written(of: Tradeoff, n: int = 1000, promise: dict[str, Any] = PROMISE) -> list[str]:
    return sentences(of, [str(i) for i in range(len(of.scores))], n, promise)


def test_rates_become_counts_with_their_intervals() -> None:
    found = written(parts([0.1] * 78 + [0.5] * 20 + [0.9] * 2, [0.9] * 95 + [0.1] * 5))
    assert found == [
        "Of 1,000 good parts 20 (2 to 70) are rejected and 200 (127 to 292) are looked at.",
        "Of 1,000 bad parts 50 (16 to 113) are not noticed and 0 (0 to 36) are looked at.",
    ]


def test_less_than_one_part_is_not_called_none() -> None:
    found = written(parts([0.1] * 399 + [0.9], [0.9]), n=100)
    assert found[0].startswith("Of 100 good parts fewer than 1 (0 to 1) is rejected and 0 (0 to 1)")


@pytest.mark.parametrize(("good", "bad", "kind"), [([0.1], [], "good"), ([], [0.9], "bad")])
def test_a_kind_that_was_not_tested_has_no_sentence(
    good: list[float], bad: list[float], kind: str
) -> None:
    (only,) = written(parts(good, bad))
    assert f" {kind} parts " in only


def test_costs_that_are_given_are_those_of_a_shift_at_the_lines_share_of_bad_parts() -> None:
    of = parts([0.1] * 8 + [0.5] + [0.9], [0.9] * 8 + [0.5] + [0.1])
    *_, cost = written(of, 2000, {**COSTS, "bad_share": 0.01})
    # 20 bad parts: 2 escape for 100, 2 are looked at for 1; 1980 good: 198 for 10, 198 for 1.
    assert cost == (
        "2,000 parts, 20 of them bad, cost 2,380 in the currency of the policy: an escape 100, a "
        "reject 10, a look 1."
    )


def test_without_a_share_of_bad_parts_costs_are_those_of_the_test() -> None:
    *_, cost = written(parts([0.1], [0.1]), 100, {**COSTS, "bad_share": None})
    assert cost.startswith("100 parts, 50 of them bad, cost 5,000 in")
