"""Whether test parts prove a promised share, contradict it, or are too few to judge it.

One rule for escapes and overkill: with the promise's own confidence c, a lower bound above the
promise contradicts it and an upper bound within it confirms it; between them nothing is proven. The
bounds are Clopper and Pearson's on as many parts as parts in groups are worth,
n / (1 + (b - 1) rho) (Kish, Survey Sampling, 1965), with Korn and Graubard's allowance for having
few groups (Survey Methodology 24, 1998).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from pipeline.contracts.evaluation import CheckState
from pipeline.metrics import clustering
from pipeline.metrics.rates import lower_bound, samples_needed, upper_bound

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]

POWER = 0.8  # with which a test should refuse a share of twice what is promised
MOST_FOLD = 1000  # nobody collects more parts than this many times those there are


@dataclass(frozen=True)
class JudgedShare:
    """A share of test parts held against a promise.

    Attributes:
        k, n: parts missed, and parts.
        groups: how many groups they come from; n where each is its own.
        low, high: one-sided bounds, each with the promise's confidence; 0 and 1 without parts.
        state: passed, failed or not proven.
        more_parts, more_groups: that would prove it, were they like these; None where no number of
            such parts would, since the share itself exceeds the promise, or reaches it nearly.
        power_parts, power_groups: that would refuse, with 80 % power, a share of twice what is
            promised; 0 where there are enough for that.
    """

    k: int
    n: int
    groups: int
    low: float
    high: float
    state: CheckState
    more_parts: int | None = 0
    more_groups: int | None = 0
    power_parts: int = 0
    power_groups: int = 0


@dataclass(frozen=True)
class _Spread:
    """How n parts spread over groups; worth follows, also of more parts like these.

    Attributes:
        n, groups: parts, and groups.
        alike: groups of equal size with the same spread, n^2 / sum of squared sizes.
        correlation: of misses within a group.
    """

    n: int
    groups: int
    alike: float
    correlation: float
    confidence: float

    def worth(self, fold: float = 1.0) -> float:
        """Independent parts that `fold` times these parts and groups are worth; from 1."""
        n, alike = self.n * fold, max(self.alike * fold, 2.0)
        if self.groups == self.n:
            return n
        if self.groups < 2 and fold == 1:
            return 1.0
        size = self.n / self.alike
        allowance = t.ppf(self.confidence, n - 1) / t.ppf(self.confidence, alike - 1)
        return float(np.clip(n / (1 + (size - 1) * self.correlation) * allowance**2, 1.0, n))


def judge_share(
    missed: Bools, groups: clustering.Groups, limit: float, confidence: float
) -> JudgedShare:
    """Hold the share of parts that are missed against what is promised.

    Args:
        missed: bool N.
        groups: group of each part, N.
        limit: share of parts that may be missed, above 0 and below 1.
        confidence: one-sided, above 0.5 and below 1.
    """
    k, n = int(missed.sum()), len(missed)
    if not n:
        needed = samples_needed(limit, confidence)
        return JudgedShare(0, 0, 0, 0.0, 1.0, CheckState.NOT_PROVEN, needed, needed)
    spread = _spread(missed, clustering.codes(groups), confidence)
    worth, share = spread.worth(), k / n
    low, high = (bound(share * worth, worth, confidence) for bound in (lower_bound, upper_bound))
    found = JudgedShare(k, n, spread.groups, low, high, CheckState.PASSED)
    if low > limit:
        return replace(found, state=CheckState.FAILED)
    if high <= limit:
        return found
    more_parts, more_groups = _proving(spread, share, limit) or (None, None)
    power_parts, power_groups = _missing(spread, lambda w: w >= enough_to_judge(limit, confidence))
    return replace(
        found,
        state=CheckState.NOT_PROVEN,
        more_parts=more_parts,
        more_groups=more_groups,
        power_parts=power_parts,
        power_groups=power_groups,
    )


def enough_to_judge(limit: float, confidence: float) -> float:
    """Independent parts that refuse twice the promised share with 80 % power."""
    double = min(2 * limit, 1.0)
    z, power = norm.ppf(confidence), norm.ppf(POWER)
    spread = z * np.sqrt(limit * (1 - limit)) + power * np.sqrt(double * (1 - double))
    return float((spread / limit) ** 2)


def _spread(missed: Bools, groups: Ints, confidence: float) -> _Spread:
    sizes = np.bincount(groups)
    n = len(missed)
    alike = n**2 / float(np.square(sizes, dtype=np.float64).sum())
    rho = max(clustering.correlation(missed, groups), clustering.TYPICAL_CORRELATION)
    return _Spread(n, len(sizes), alike, rho, confidence)


def _proving(spread: _Spread, share: float, limit: float) -> tuple[int, int] | None:
    """Parts and groups that are missing, if the next are missed as often as these."""

    def proves(worth: float) -> bool:
        return upper_bound(share * worth, worth, spread.confidence) <= limit

    possible = share < limit and proves(spread.worth(MOST_FOLD))
    return _missing(spread, proves) if possible else None


def _missing(spread: _Spread, enough: Callable[[float], bool]) -> tuple[int, int]:
    """Fewest parts and groups to be added, like those there are, until their worth is enough."""
    groups = spread.groups
    more = range(MOST_FOLD * groups)
    fewest = bisect_left(more, True, key=lambda m: enough(spread.worth(1 + m / groups)))
    return ceil(fewest * spread.n / groups), fewest
