"""Result of every policy: two limits on the defect score, and notes on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.rates import grouped_share, share_in_words
from pipeline.plugins import Strict

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

ABOVE_ALL = 1.1  # the largest limit that an operating point may have; no score reaches it
MAX_REVIEW = 0.25  # a model that leaves more to people decides too little to be called good


class ReviewLimit(Strict):
    """What every policy sets for the parts that go to a person."""

    max_review: float = Field(
        MAX_REVIEW,
        ge=0,
        le=1,
        description="Share of the good parts, and of all, that a person may have to see; beyond it "
        "the gate asks for attention, or fails with gate.require_max_review.",
    )


@dataclass(frozen=True)
class Choice:
    """The limits, and whether the validation parts prove the promise behind them.

    Attributes:
        point: the limits.
        proven: the data can prove what the policy promises; where parts come in groups, counted
            by what the groups are worth.
        sentences: what a person should know about the choice.
        missing_bad, missing_good: parts that are missing to prove it, were they like those there.
        bad_known: some bad part was there to choose by.
    """

    point: OperatingPoint
    proven: bool
    sentences: tuple[str, ...]
    missing_bad: int = 0
    missing_good: int = 0
    bad_known: bool = True


@dataclass(frozen=True)
class Parts:
    """Validation parts to choose on: at least one of them bad and one of them good.

    Attributes:
        scores: defect score of each, 0 to 1.
        bad: whether it is really bad.
        groups: group number of each, or None where nothing is known of groups.
    """

    scores: Floats
    bad: Bools
    groups: Ints | None = None

    def judged(self, point: OperatingPoint) -> tuple[Bools, Bools]:
        """Which of them pass and which fail by the limits; a person looks at the others."""
        return self.scores < point.pass_below, self.scores >= point.fail_from

    def __iter__(self) -> Iterator[Kind]:
        """The bad parts, then the good ones; each with the most easily missed part first."""
        for name, mask, sign in (("bad", self.bad, 1), ("good", ~self.bad, -1)):
            order = np.argsort(sign * self.scores[mask], kind="stable")
            groups = None if self.groups is None else self.groups[mask][order]
            yield Kind(name, self.scores[mask][order], groups)


@dataclass(frozen=True)
class Kind:
    """The bad or the good ones of the parts, the most easily missed first.

    Attributes:
        name: bad or good.
        scores: ascending for bad parts (a low one escapes), descending for good ones.
        groups: group number of each, or None.
    """

    name: str
    scores: Floats
    groups: Ints | None

    def limit(self, misses: int) -> float:
        """The farthest limit at which no more than `misses` are missed."""
        edge = float(self.scores[min(misses, len(self.scores) - 1)])
        return edge if self.name == "bad" else float(np.nextafter(edge, 2.0))

    def candidates(self) -> Ints:
        """The numbers of misses that some limit gives, fewest first: parts of a score go as one."""
        firsts = np.flatnonzero(self.scores[1:] != self.scores[:-1]) + 1
        return np.concatenate([[0], firsts])


def counted(parts: Parts, point: OperatingPoint) -> str:
    """Effect of the limits on the parts that they were chosen on, in words."""
    passed, failed = parts.judged(point)
    every = np.ones(len(parts.scores), bool)
    escapes, overkill, review = (
        grouped_share(which[among], None if parts.groups is None else parts.groups[among])
        for which, among in (
            (passed, parts.bad),
            (failed, ~parts.bad),
            (~passed & ~failed, every),
        )
    )
    return (
        f"{share_in_words(escapes, 'bad validation parts pass')}, "
        f"{share_in_words(overkill, 'good ones fail')}, {share_in_words(review, 'go to review')}"
    )
