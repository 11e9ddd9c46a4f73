"""The figures of an attribute agreement study against the limits of the AIAG.

Definitions and limits: AIAG, Measurement Systems Analysis, 4th edition, 2010, chapter III, section
C. The effectiveness counts a part once: right in every trial or not. Miss rate and false alarm rate
count each answer on bad and on good parts; their intervals know that the answers on one part belong
together (`metrics.clustering`). Kappas pool the trials, as the AIAG does.

The AIAG's table judges by the figure alone. Fifty parts prove less than that suggests, so the state
of a figure here looks at its interval, as the gate of a model does: acceptable where all of it
keeps the limit, not acceptable where none of it does, else not proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.contracts.shares import Share
from pipeline.contracts.study import Finding, FindingState, Judgement, Measure
from pipeline.metrics.agreement.kappa import Ints, Kappa, cohen, fleiss, with_interval
from pipeline.metrics.rates import grouped_share, share

BAD, GOOD, UNDECIDED = range(3)
CODES = {Judgement.BAD: BAD, Judgement.GOOD: GOOD, Judgement.UNDECIDED: UNDECIDED}


@dataclass(frozen=True)
class AcceptanceLimits:
    """The AIAG's limits of one measure: `acceptable`, and up to where it is marginal.

    Attributes:
        acceptable, marginal: limits on the figure.
        at_least: is more better?
        exclusive: must the figure go beyond `acceptable`, not only reach it?
    """

    acceptable: float
    marginal: float
    at_least: bool = True
    exclusive: bool = False

    def keeps(self, value: float) -> bool:
        """Does a figure keep the limit for acceptable?"""
        if value == self.acceptable:
            return not self.exclusive
        return (value > self.acceptable) == self.at_least

    def category(self, value: float) -> str:
        """The AIAG's word for a figure."""
        if self.keeps(value):
            return "acceptable"
        beyond = value < self.marginal if self.at_least else value > self.marginal
        return "unacceptable" if beyond else "marginal"

    def state(self, low: float | None, high: float | None) -> FindingState:
        """What an interval shows; None: there is none."""
        if low is None or high is None:
            return FindingState.NOT_PROVEN
        worst, best = (low, high) if self.at_least else (high, low)
        if self.keeps(worst):
            return FindingState.ACCEPTABLE
        return FindingState.NOT_PROVEN if self.keeps(best) else FindingState.NOT_ACCEPTABLE


_KAPPA = AcceptanceLimits(0.75, 0.40, exclusive=True)
LIMITS = {
    Measure.EFFECTIVENESS: AcceptanceLimits(0.90, 0.80),
    Measure.MISS_RATE: AcceptanceLimits(0.02, 0.05, at_least=False),
    Measure.FALSE_ALARM_RATE: AcceptanceLimits(0.05, 0.10, at_least=False),
    Measure.KAPPA_WITHIN: _KAPPA,
    Measure.KAPPA_REFERENCE: _KAPPA,
    Measure.KAPPA_PAIR: _KAPPA,
    Measure.KAPPA_ALL: _KAPPA,
}
NO_KAPPA = "not defined: all answers are the same one"
NO_INTERVAL = "no interval: too few parts"


@dataclass(frozen=True)
class AppraiserAnswers:
    """All answers of one appraiser, codes of `CODES`.

    Attributes:
        name: of the appraiser.
        codes: int N parts by T trials, in the order of the parts.
    """

    name: str
    codes: Ints


def findings(reference: Ints, appraisers: Sequence[AppraiserAnswers]) -> list[Finding]:
    """All figures of a study: of each appraiser, then of each pair, then of all together.

    Args:
        reference: GOOD or BAD of each part, int N.
        appraisers: each with answers on all N parts; of the same number of trials.
    """
    found = [finding for one in appraisers for finding in _of_one(reference, one)]
    for a, b in combinations(appraisers, 2):
        kappa = _between(a.codes, b.codes)
        found.append(_kappa(Measure.KAPPA_PAIR, (a.name, b.name), kappa))
    if len(appraisers) > 1:
        together = np.hstack([one.codes for one in appraisers])
        kappa = with_interval(lambda rows: fleiss(together[rows]), len(reference))
        found.append(_kappa(Measure.KAPPA_ALL, tuple(one.name for one in appraisers), kappa))
    return found


def worst(found: Sequence[Finding]) -> FindingState:
    """The worst state among the figures that have a limit."""
    states = [finding.state for finding in found if finding.state is not None]
    return max(states, key=lambda state: state.severity, default=FindingState.NOT_PROVEN)


def _of_one(reference: Ints, one: AppraiserAnswers) -> list[Finding]:
    codes, trials = one.codes, one.codes.shape[1]
    same = (codes == codes[:, :1]).all(1)
    right = (codes == reference[:, None]).all(1)
    parts = np.repeat(np.arange(len(codes)), trials).reshape(codes.shape)
    bad, good = reference == BAD, reference == GOOD
    against = np.repeat(reference[:, None], trials, axis=1)
    found = [
        _share(Measure.EFFECTIVENESS, one.name, share(right.sum(), len(right))),
        _share(
            Measure.MISS_RATE,
            one.name,
            grouped_share((codes[bad] == GOOD).ravel(), parts[bad].ravel()),
            "not defined: the study has no bad part",
        ),
        _share(
            Measure.FALSE_ALARM_RATE,
            one.name,
            grouped_share((codes[good] == BAD).ravel(), parts[good].ravel()),
            "not defined: the study has no good part",
        ),
        _kappa(Measure.KAPPA_REFERENCE, (one.name,), _between(codes, against)),
    ]
    if trials > 1:
        kappa = with_interval(lambda rows: fleiss(codes[rows]), len(codes))
        found.append(_share(Measure.WITHIN, one.name, share(same.sum(), len(same))))
        found.append(_kappa(Measure.KAPPA_WITHIN, (one.name,), kappa))
    if (codes == UNDECIDED).any():
        undecided = grouped_share((codes == UNDECIDED).ravel(), parts.ravel())
        found.append(_share(Measure.UNDECIDED, one.name, undecided))
    return found


def _between(a: Ints, b: Ints) -> Kappa:
    """Cohen's kappa of answers on the same parts, N parts by T trials."""
    return with_interval(lambda rows: cohen(a[rows], b[rows]), len(a))


def _share(measure: Measure, name: str, of: Share, undefined: str = "") -> Finding:
    limits = LIMITS.get(measure)
    return Finding(
        measure=measure,
        of=(name,),
        value=of.value,
        low=of.low,
        high=of.high,
        k=of.k,
        n=of.n,
        state=None if limits is None else limits.state(of.low, of.high),
        aiag="" if limits is None or of.value is None else limits.category(of.value),
        reason=undefined if of.value is None else "",
    )


def _kappa(measure: Measure, of: tuple[str, ...], kappa: Kappa) -> Finding:
    limits = LIMITS[measure]
    reason = NO_KAPPA if kappa.value is None else NO_INTERVAL * (kappa.low is None)
    return Finding(
        measure=measure,
        of=of,
        value=kappa.value,
        low=kappa.low,
        high=kappa.high,
        state=limits.state(kappa.low, kappa.high),
        aiag="" if kappa.value is None else limits.category(kappa.value),
        reason=reason,
    )
