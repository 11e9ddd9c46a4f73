"""The `conformal` policy: limits whose expected escapes and overkill hold whatever the model.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024): with n
exchangeable bad parts, of which k lie below the pass limit, the chance that the next one lies below
it is at most (k + 1) / (n + 1), whatever scores the model gives. The promise is about the mean over
many choices of limits; `max_escape` promises more: that this choice holds, with a confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.choice import (
    ABOVE_ALL,
    Choice,
    Floats,
    Kind,
    Parts,
    ReviewLimit,
    counted,
)
from pipeline.metrics.rates import asked, percent


class Conformal(ReviewLimit):
    """Shares that hold on average, without any assumption on scores."""

    type: Literal["conformal"] = Field(
        description="Limits whose escapes and overkill hold on average over groups (conformal "
        "risk control)."
    )
    max_escape: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of a group's bad parts that may pass, on average over groups (of all "
        "bad parts where parts have no groups).",
    )
    max_overkill: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of a group's good parts that may fail, on average over groups (of all "
        "good parts where parts have no groups).",
    )


@dataclass(frozen=True)
class Controlled:
    """A limit with controlled risk; not `proved` where even no miss is too many.

    `missing` more parts, in groups like these, would do.
    """

    limit: float
    proved: bool
    sentences: tuple[str, ...]
    missing: int = 0


def choose_conformal(policy: Conformal, parts: Parts) -> Choice:
    """The highest pass limit and the lowest fail limit whose corrected risk stays as promised.

    Where parts come in groups, groups are exchangeable and parts are not: the loss of a group is
    the share of its parts that is missed, and the promise is about a part of the next group.
    """
    bad, good = parts
    escapes = controlled(bad, "an escape rate", policy.max_escape)
    overkills = controlled(good, "an overkill rate", policy.max_overkill)
    pass_below, fail_from = escapes.limit, overkills.limit
    if fail_from <= pass_below:
        pass_below = fail_from = (pass_below + fail_from) / 2
    point = OperatingPoint(pass_below=pass_below, fail_from=fail_from)
    over = "" if parts.groups is None else " over groups, however many parts each has"
    counts = f"the shares hold on average{over}, not in each single case: {counted(parts, point)}"
    sentences = (*escapes.sentences, *overkills.sentences, counts)
    return Choice(
        point,
        escapes.proved and overkills.proved,
        sentences,
        missing_bad=escapes.missing,
        missing_good=overkills.missing,
    )


def choose_from_good(
    kind: Kind, max_overkill: float, max_review: float, *, one_limit: bool
) -> Choice:
    """Limits from good parts, where no bad one is known: what escapes at them is not known.

    Of the good parts at most `max_overkill` fail and at most `max_review` fail or go to a person,
    on average. Too few good parts to keep the first: no part fails. Too few for the second: none
    passes.

    Args:
        kind: the good parts.
        max_overkill, max_review: shares of them.
        one_limit: nothing goes to review, what does not fail passes.
    """
    overkills = controlled(kind, "an overkill rate", max_overkill)
    fail_from = overkills.limit if overkills.proved else ABOVE_ALL
    reviewed = controlled(kind, "a share for review", max(max_review, max_overkill))
    pass_below = min(reviewed.limit, fail_from) if reviewed.proved else 0.0
    others = f"and {asked(max_review)} % go to a person or fail, on average"
    if one_limit:
        pass_below, others = fail_from, "on average, and the others pass"
    text = (
        f"the limits come from {len(kind.scores)} good parts: at most {asked(max_overkill)} % of "
        f"such parts fail {others}"
    )
    sentences = (*overkills.sentences, *(() if one_limit else reviewed.sentences), text)
    point = OperatingPoint(pass_below=pass_below, fail_from=fail_from)
    return Choice(point, overkills.proved, sentences, missing_good=overkills.missing)


def controlled(kind: Kind, rate: str, limit: float) -> Controlled:
    """The farthest limit with (sum of losses + 1) / (number of units + 1) within `limit`."""
    misses = kind.candidates()
    losses, units = _losses(kind)
    # The sum of 60 sixtieths is not quite 1 in binary.
    held = losses[misses] + 1 <= limit * (units + 1) * (1 + 1e-12)
    n, grouped = len(kind.scores), units < len(kind.scores)
    sentences, missing = [], 0
    if grouped:
        sentences.append(
            f"the {n} {kind.name} validation parts come from {units} groups: {rate} is controlled "
            "for a part of the next group, groups counting alike"
        )
    if not held[0]:
        needed = int(np.ceil(1 / limit - 1 - 1e-9))
        missing = int(np.ceil((needed - units) * n / units))
        sentences.append(
            f"{units} {f'groups with {kind.name}' if grouped else kind.name} validation parts "
            f"cannot keep {rate} of {asked(limit)} % on average: without a single miss they keep "
            f"{percent(1 / (units + 1))} %; {needed} would do"
        )
    most = int(misses[np.flatnonzero(held)[-1]]) if held[0] else 0
    return Controlled(kind.limit(most), bool(held[0]), tuple(sentences), missing)


def _losses(kind: Kind) -> tuple[Floats, int]:
    """Sum over units of the share missed if the first k parts are; float N, and how many units."""
    n = len(kind.scores)
    if kind.groups is None:
        return np.arange(n, dtype=np.float64), n
    sizes = np.bincount(kind.groups)
    each = 1 / sizes[kind.groups]
    return np.concatenate([[0.0], np.cumsum(each)[:-1]]), int(np.count_nonzero(sizes))
