"""Policies that promise a share with a confidence: `max_escape` and `max_overkill`.

Each walks its limit from the safe end and stops before the first one whose upper confidence bound
exceeds what is promised. Stopping at the first keeps the confidence although many limits are tried
(Bates et al., Distribution-free, risk-controlling prediction sets, JACM 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy.special import betaincinv

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics import clustering
from pipeline.metrics.choice import ABOVE_ALL, Choice, Kind, Parts, ReviewLimit, counted
from pipeline.metrics.rates import asked, percent, samples_needed

CONFIDENCE = 0.95  # one-sided, for promises that name none
# Groups that take less than this from the number of parts are not worth a sentence.
WORTH_SAYING = 0.95


class MaxEscape(ReviewLimit):
    """Two limits: the bad parts set the pass limit, the good ones the fail limit."""

    type: Literal["max_escape"] = Field(
        "max_escape", description="Limits that keep escapes and overkill; the rest is for review."
    )
    max_escape: float = Field(0.05, ge=1e-6, lt=1, description="Share of bad parts that may pass.")
    max_overkill: float = Field(
        0.05, ge=1e-6, lt=1, description="Share of good parts that may fail."
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="One-sided confidence with which the shares must hold."
    )
    confidence_for: Literal["each", "both"] = Field(
        "each",
        description="each: either share holds with that confidence, and both at once less surely; "
        "both: they hold together, so that each is proven with (1 + confidence) / 2.",
    )


class MaxOverkill(ReviewLimit):
    """One limit, set by the good parts; nothing goes to review."""

    type: Literal["max_overkill"] = Field(
        description="One limit, the lowest that keeps overkill; escapes are what they are."
    )
    max_overkill: float = Field(
        0.05, ge=1e-6, lt=1, description="Share of good parts that may fail."
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="One-sided confidence with which the share must hold."
    )


@dataclass(frozen=True)
class Allowed:
    """How many parts of a kind may be missed; none, and not `proved`, where too few are there.

    `missing` more would prove it.
    """

    misses: int
    proved: bool
    sentences: tuple[str, ...]
    missing: int = 0


def choose_max_escape(policy: MaxEscape, parts: Parts) -> Choice:
    """Limits at which both promises hold on parts like these with the policy's confidence.

    Scores between them are for review; where the two kinds separate, one limit serves both.
    """
    bad, good = parts
    sure = one_sided(policy.model_dump())
    escapes = allowed(bad, "an escape rate", policy.max_escape, sure)
    overkills = allowed(good, "an overkill rate", policy.max_overkill, sure)
    pass_below, fail_from = bad.limit(escapes.misses), good.limit(overkills.misses)
    if fail_from <= pass_below:
        pass_below = fail_from = (pass_below + fail_from) / 2
    return Choice(
        OperatingPoint(pass_below=pass_below, fail_from=fail_from),
        escapes.proved and overkills.proved,
        (*escapes.sentences, *overkills.sentences),
        missing_bad=escapes.missing,
        missing_good=overkills.missing,
    )


def choose_pass_limit(policy: MaxEscape, bad: Kind) -> Choice:
    """Only bad parts are there: the pass limit, and everything else for review."""
    escapes = allowed(bad, "an escape rate", policy.max_escape, one_sided(policy.model_dump()))
    point = OperatingPoint(pass_below=bad.limit(escapes.misses), fail_from=ABOVE_ALL)
    return Choice(point, escapes.proved, escapes.sentences, missing_bad=escapes.missing)


def choose_max_overkill(policy: MaxOverkill, parts: Parts) -> Choice:
    """The lowest limit whose overkill holds; the escapes at it are reported."""
    _, good = parts
    overkills = allowed(good, "an overkill rate", policy.max_overkill, policy.confidence)
    limit = good.limit(overkills.misses)
    point = OperatingPoint(pass_below=limit, fail_from=limit)
    promise = f"no promise is made about escapes: {counted(parts, point)}"
    sentences = (*overkills.sentences, promise)
    return Choice(point, overkills.proved, sentences, missing_good=overkills.missing)


def one_sided(promise: Mapping[str, Any]) -> float:
    """Confidence that each of the promised shares needs; 95 % where the promise names none.

    Two shares that each fail with half of 1 - c hold together with c (Bonferroni).

    Args:
        promise: a policy's settings, or `promise` of evaluation.json.
    """
    sure = float(promise.get("confidence", CONFIDENCE))
    return (1 + sure) / 2 if promise.get("confidence_for") == "both" else sure


def allowed(kind: Kind, rate: str, limit: float, confidence: float) -> Allowed:
    """Most misses at which the upper confidence bound stays within `limit`, and a sentence on it.

    Args:
        kind: bad or good parts.
        rate: what missing them is called, for the sentences.
        limit: share that may be missed.
        confidence: one-sided.
    """
    n, worth = len(kind.scores), np.full(len(kind.scores), float(len(kind.scores)))
    if kind.groups is not None:
        worth = clustering.effective_numbers(kind.groups, limit, confidence)
    misses = kind.candidates()
    shares = misses / n
    bounds = betaincinv(shares * worth[misses] + 1, (1 - shares) * worth[misses], confidence)
    broken = np.flatnonzero(~(bounds <= limit))
    held = int(misses[broken[0] - 1] if len(broken) and broken[0] else misses[-1])
    proved = not (len(broken) and broken[0] == 0)
    sentences, missing = [], 0
    if kind.groups is not None and worth[0] < WORTH_SAYING * n:
        n_groups = len(np.unique(kind.groups))
        sentences.append(
            f"the {n} {kind.name} validation parts come from {n_groups} groups whose parts are "
            f"alike: they prove as much as {worth[0]:.0f} independent parts would"
        )
    if not proved:
        needed = samples_needed(limit, confidence)
        if worth[0] < n:
            needed = int(np.ceil(needed * n / worth[0]))
        missing = max(needed - n, 1)
        sentences.append(
            f"{n} {kind.name} validation parts cannot prove {rate} below {asked(limit)} %: without "
            f"a single miss they prove {percent(bounds[0])} %; {needed} would do"
            + (", of as many groups in proportion" if worth[0] < n else "")
        )
    return Allowed(held if proved else 0, proved, tuple(sentences), missing)
