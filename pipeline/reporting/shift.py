"""What a number of parts at the line would come to, in words: rejected, looked at, passed, paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.contracts.records import Verdict
from pipeline.metrics.rates import grouped_share
from pipeline.reporting.tradeoff import Tradeoff

Bools = npt.NDArray[np.bool_]


def sentences(
    parts: Tradeoff, groups: Sequence[str], n: int, promise: Mapping[str, Any]
) -> list[str]:
    """What becomes of `n` good and of `n` bad parts, and what `n` parts cost where costs are given.

    Args:
        parts: the test parts, N.
        groups: the group of each, N, for the intervals.
        n: how many parts a shift has.
        promise: that of evaluation.json; a policy of costs has `escape`, `reject`, `review` and
            `bad_share` (None: as in the test).
    """
    verdicts = parts.verdicts(parts.point.pass_below, parts.point.fail_from)
    named = np.asarray(groups, dtype=str)
    found = []
    for kind, who, fates in (
        ("good", ~parts.bad, ((Verdict.FAIL, "rejected"), (Verdict.REVIEW, "looked at"))),
        ("bad", parts.bad, ((Verdict.PASS, "not noticed"), (Verdict.REVIEW, "looked at"))),
    ):
        if who.any():
            counted = [
                f"{_range(verdicts[who] == verdict, named[who], n)} {fate}"
                for verdict, fate in fates
            ]
            found.append(f"Of {n:,} {kind} parts {' and '.join(counted)}.")
    if promise["policy"] == "cost" and parts.bad.any() and not parts.bad.all():
        found.append(_cost(parts.bad, verdicts, n, promise))
    return found


def _range(counted: Bools, groups: npt.NDArray[np.str_], n: int) -> str:
    """`12 (5 to 30) are`: so many of `n`, with the 95 % interval and the verb."""
    share = grouped_share(counted, groups)
    assert share.value is not None
    assert share.low is not None
    assert share.high is not None
    low, high = (f"{_whole(bound * n):,}" for bound in (share.low, share.high))
    about = share.value * n
    text = "fewer than 1" if 0 < about < 0.5 else f"{_whole(about):,}"
    return f"{text} ({low} to {high}) {'is' if 0 < about < 1.5 else 'are'}"


def _whole(count: float) -> int:
    """Rounded, halves up."""
    return int(count + 0.5)


def _cost(bad: Bools, verdicts: npt.NDArray[np.str_], n: int, promise: Mapping[str, Any]) -> str:
    """The expected cost, in the currency in which the policy's costs are."""
    share = bad.mean() if promise.get("bad_share") is None else promise["bad_share"]
    total = 0.0
    for who, weight, wrong, price in (
        (bad, share, Verdict.PASS, promise["escape"]),
        (~bad, 1 - share, Verdict.FAIL, promise["reject"]),
    ):
        rate = float((verdicts[who] == wrong).mean()) * price
        total += weight * (
            rate + float((verdicts[who] == Verdict.REVIEW).mean()) * promise["review"]
        )
    return (
        f"{n:,} parts, {share * n:,.0f} of them bad, cost {total * n:,.0f} in the currency of the "
        f"policy: an escape {promise['escape']:g}, a reject {promise['reject']:g}, a look "
        f"{promise['review']:g}."
    )
