"""Which change of the line does most harm, by the plant's own figures.

Harm is what escapes and overkill surely exceed the accepted share by, in multiples of that share:
half of the bad parts passing where 5 % may is worse than a fifth of the good ones rejected where 10
% may be. A change is ranked by its mean harm over the strengths that were tried, so that one which
ruins the model at the strongest only may still lead, and one that merely brushes the promise at the
mildest may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.contracts.evaluation import Changed, Share
from pipeline.metrics.rates import asked, share_in_words


@dataclass(frozen=True)
class AcceptedRates:
    """Shares of bad parts that may pass and of good ones that may fail; None: none is promised."""

    escape: float | None = None
    overkill: float | None = None

    @classmethod
    def of(cls, promise: Mapping[str, Any]) -> AcceptedRates:
        """From the policy's `max_escape` and `max_overkill`."""
        return cls(promise.get("max_escape"), promise.get("max_overkill"))


@dataclass(frozen=True)
class HarmKind:
    """Escapes or overkill under a change, beside the same parts unchanged.

    Attributes:
        what: `bad parts pass` or `good parts are rejected`.
        now, then: under the change, and unchanged.
        promised: the accepted share, if there is one.
    """

    what: str
    now: Share
    then: Share
    promised: float | None

    @property
    def limit(self) -> float:
        """The accepted share: that of the plant, or what the unchanged parts may reach."""
        if self.promised is not None:
            return max(self.promised, self.then.value or 0.0)
        return self.then.high or 1.0

    @property
    def exceeded(self) -> bool:
        """Is more missed than accepted, by the parts at hand?"""
        known = self.promised is not None
        bound = self.limit if known else (self.then.value or 0.0)
        return (self.now.value or 0.0) > bound

    @property
    def harm(self) -> float:
        """How far the lower end of the interval exceeds the limit, in multiples of it."""
        return max((self.now.low or 0.0) / max(self.limit, 1e-6) - 1, 0.0)

    @property
    def close(self) -> bool:
        """Has it risen, and does its interval hold the limit, so that more parts may decide it?"""
        if self.now.low is None or self.now.high is None or self.now.k <= self.then.k:
            return False
        return self.now.low <= self.limit <= self.now.high

    def sentence(self) -> str:
        """`24 of 32 good parts are rejected (75.0 %, 56.6 to 88.5 %), unchanged 1`."""
        allowed = f"; accepted {asked(self.promised)} %" if self.promised is not None else ""
        return f"{share_in_words(self.now, self.what)}, unchanged {self.then.k}{allowed}"


def kinds(now: Changed, then: Changed, accepted: AcceptedRates) -> tuple[HarmKind, HarmKind]:
    """Escapes and overkill of a step."""
    return (
        HarmKind("bad parts pass", now.escape, then.escape, accepted.escape),
        HarmKind("good parts are rejected", now.overkill, then.overkill, accepted.overkill),
    )


def harm(now: Changed, then: Changed, accepted: AcceptedRates) -> float:
    """The larger harm of the two kinds; 0 where no accepted share is surely exceeded."""
    return max(kind.harm for kind in kinds(now, then, accepted))


def delicacy(
    ladder: Sequence[Changed], unchanged: Changed, accepted: AcceptedRates
) -> tuple[float, ...]:
    """Key that sorts the most harmful change first; steps from mild to strong."""
    harms = [harm(step, unchanged, accepted) for step in ladder]
    broken = [i for i, step in enumerate(ladder) if step.broken]
    step = ladder[broken[0]] if broken else ladder[-1]
    grade = broken[0] / len(ladder) if broken else 1.0
    mean = sum(harms) / len(harms)
    return (-mean, grade, -step.escape.k, -step.overkill.k, step.auroc or 0.0)


def first_break(
    ladder: Sequence[Changed], unchanged: Changed, accepted: AcceptedRates
) -> Changed | None:
    """The mildest step with sure harm, else the mildest that is broken at all, if any is."""
    broken = [step for step in ladder if step.broken]
    sure = [step for step in broken if harm(step, unchanged, accepted)]
    return next(iter([*sure, *broken]), None)
