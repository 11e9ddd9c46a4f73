"""The `cost` policy: the two limits at which a part costs least on average."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.choice import ABOVE_ALL, Choice, Floats, Parts, ReviewLimit, counted
from pipeline.metrics.rates import percent

# Costs that differ by less, as a share of the dearest outcome, differ by rounding alone.
TIE = 1e-12


class Cost(ReviewLimit):
    """What each outcome costs; any currency, only the ratios matter."""

    type: Literal["cost"] = Field(description="The limits that cost least per part on average.")
    escape: float = Field(gt=0, allow_inf_nan=False, description="Cost of a bad part that passes.")
    reject: float = Field(gt=0, allow_inf_nan=False, description="Cost of a good part that fails.")
    review: float = Field(
        gt=0, allow_inf_nan=False, description="Cost of a person looking at a part, good or bad."
    )
    bad_share: float | None = Field(
        None, gt=0, lt=1, description="Share of bad parts at the line; none: as in the data."
    )


def choose_cost(policy: Cost, parts: Parts) -> Choice:
    """Limits with the least expected cost a part, by trying all pairs of them.

    A bad part that fails and a good one that passes cost nothing; a reviewed part costs `review`
    whatever it is, and is taken to be judged right. Ties go to the lower limits: fewer parts pass.

    The cost of a pair is a sum of what the pass limit and what the fail limit contribute, so for
    each fail limit the best pass limit below it is a running minimum: all pairs in O(n log n).
    """
    values = np.unique(parts.scores)
    share = float(parts.bad.mean()) if policy.bad_share is None else policy.bad_share
    # Shares of bad and of good parts below each candidate limit, the last one above all scores.
    bad_below = share * _below(parts.scores[parts.bad], values)
    good_below = (1 - share) * _below(parts.scores[~parts.bad], values)
    passing = policy.escape * bad_below - policy.review * (bad_below + good_below)
    failing = policy.reject * (1 - share - good_below) + policy.review * (bad_below + good_below)
    tie = TIE * max(policy.escape, policy.reject, policy.review)
    least = np.minimum.accumulate(passing)
    total = least + failing
    at_fail = int(np.flatnonzero(total <= total.min() + tie)[0])
    at_pass = int(np.flatnonzero(passing[: at_fail + 1] <= least[at_fail] + tie)[0])
    point = OperatingPoint(
        pass_below=_between(values, at_pass), fail_from=_between(values, at_fail)
    )
    cost = expected_cost(policy, parts, point)
    sentence = (
        f"the limits cost {cost:.4g} a part on average at {percent(share)} % bad parts (an escape "
        f"{policy.escape:g}, a reject {policy.reject:g}, a review {policy.review:g}); no share is "
        f"promised: {counted(parts, point)}"
    )
    return Choice(point, True, (sentence,))


def expected_cost(policy: Cost, parts: Parts, point: OperatingPoint) -> float:
    """Cost a part of given limits, counted part by part."""
    share = float(parts.bad.mean()) if policy.bad_share is None else policy.bad_share
    passed, failed = parts.judged(point)
    review = policy.review * (~passed & ~failed)
    of_bad = float((policy.escape * passed + review)[parts.bad].mean())
    of_good = float((policy.reject * failed + review)[~parts.bad].mean())
    return share * of_bad + (1 - share) * of_good


def _below(scores: Floats, values: Floats) -> Floats:
    """Share of scores below each value, and below a limit above all: float len(values) + 1."""
    below = np.searchsorted(np.sort(scores), values) / len(scores)
    return np.append(below, 1.0)


def _between(values: Floats, index: int) -> float:
    """A limit with `index` of the values below it, half-way between its neighbours."""
    if index == 0:
        return 0.0
    if index == len(values):
        return ABOVE_ALL
    low, high = float(values[index - 1]), float(values[index])
    middle = (low + high) / 2
    return middle if low < middle else high
