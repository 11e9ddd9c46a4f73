"""Figures by class, variant, group and source, the weakest class, and the worst slice if any is.

With enough slices one of them is always the worst. It is named only if it is worse than the rest of
the test parts by Fisher's exact test (two-sided, 5 %), corrected for the number of slices by Holm's
method (Scandinavian Journal of Statistics 6, 1979). Where parts come in groups, the test and the
intervals count as many parts as these are worth (Rao and Scott, Biometrics 48, 1992): three odd
modules of one variant do not make the variant odd. A slice that is a group is judged by its own
parts, each for itself: it is that group that is asked about, not groups like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact

from pipeline.contracts.evaluation import Share, Slice, Slices
from pipeline.contracts.records import Verdict
from pipeline.errors import DataError
from pipeline.metrics import clustering
from pipeline.metrics.rates import END, Rate, grouped_share, percent, share_in_words

Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
By = Literal["class", "variant", "group", "source"]

FEWEST = 10  # bad (good) parts in a slice, and outside it, before its escapes (overkill) are tested
MOST_GROUPS = 50
LEVEL = 0.05


@dataclass(frozen=True)
class Outcomes:
    """Outcome for each test part; bool N each.

    Attributes:
        bad: it is really bad.
        right: its most probable class is its label.
        passed, failed: its verdict; what is neither went to review.
    """

    bad: Bools
    right: Bools
    passed: Bools
    failed: Bools

    @classmethod
    def of(
        cls, right: npt.ArrayLike, bad: npt.ArrayLike, verdicts: npt.NDArray[np.str_]
    ) -> Outcomes:
        """From verdicts as the station writes them; raises DataError when lengths differ."""
        right, bad = np.asarray(right, bool), np.asarray(bad, bool)
        if not len(right) == len(bad) == len(verdicts):
            raise DataError(
                f"{len(right)} answers, {len(bad)} labels and {len(verdicts)} verdicts: a test "
                "part has one of each"
            )
        return cls(bad, right, verdicts == Verdict.PASS, verdicts == Verdict.FAIL)

    @property
    def escaped(self) -> Bools:
        """Bad parts that pass."""
        return self.bad & self.passed

    @property
    def overkilled(self) -> Bools:
        """Good parts that fail."""
        return ~self.bad & self.failed


@dataclass(frozen=True)
class Suspicion:
    """A slice that misses more than the rest, before it is known whether by chance."""

    by: str
    name: str
    kind: str
    missed: Share
    rest: float
    p: float

    @property
    def excess(self) -> float:
        """By how much its share exceeds that of the rest."""
        return (self.missed.value or 0.0) - self.rest

    def sentence(self) -> str:
        """For a person."""
        done = "pass" if self.kind == "bad" else "fail"
        return (
            f"{self.by} {self.name}: {share_in_words(self.missed, f'{self.kind} parts {done}')}, "
            f"in the others {percent(self.rest)} %"
        )


def cut(outcomes: Outcomes, columns: Mapping[By, Sequence[str]]) -> Slices:
    """Cut the test parts by each column.

    Args:
        outcomes: what became of each part.
        columns: for each of class, variant, group and source the value of each part. A column with
            a single value, or with as many as there are parts, is left out; an empty value is a
            part of no slice. Without groups all parts are taken for independent.

    Returns:
        The slices by name, of groups at most the 50 that misjudge most, and a sentence about the
        worst slice of all, with escapes before overkill; empty where chance alone could have made
        it.

    Raises:
        DataError: a column is not as long as there are parts.
    """
    slices: list[Slice] = []
    suspicions: list[Suspicion] = []
    counts: dict[str, int] = {}
    left_out = ""
    groups = np.asarray(columns["group"], dtype=str) if "group" in columns else None
    for by, values in columns.items():
        if len(values) != len(outcomes.bad):
            raise DataError(f"{len(values)} values of {by} for {len(outcomes.bad)} test parts")
        column = np.asarray(values, dtype=str)
        names = [str(name) for name in np.unique(column) if name]
        if not 1 < len(np.unique(column)) < len(column):
            continue  # one slice is the whole, and slices of one part each show nothing
        counts[by] = len(names)
        together = None if by == "group" else groups
        found = [_slice(outcomes, by, name, column == name, together) for name in names]
        for name in names:
            suspicions += _suspicions(outcomes, by, name, column == name, together)
        if by == "group" and len(found) > MOST_GROUPS:
            left_out = f"of {len(found)} groups the {MOST_GROUPS} that misjudge most are listed"
            found = sorted(found, key=_surely_misjudged, reverse=True)[:MOST_GROUPS]
        slices += found
    return Slices(
        slices=tuple(slices),
        worst=_worst(suspicions),
        weakest_class=_weakest_class([s for s in slices if s.by == "class"]),
        counts=counts,
        left_out=left_out,
    )


def _weakest_class(classes: Sequence[Slice]) -> str:
    """The class with the least recall, and how surely it is below the mean of all classes.

    It is named however few its parts are, with its interval.
    """
    recalls = {s.name: s.accuracy for s in classes}
    values = {name: recall.value for name, recall in recalls.items() if recall.value is not None}
    mean = sum(values.values()) / max(len(values), 1)
    name = min(values, key=lambda n: (values[n], -recalls[n].n), default="")
    if not name or values[name] >= mean:
        return ""
    below = [n for n in values if (recalls[n].high or 0.0) < mean]
    recognised = share_in_words(recalls[name], "parts recognised")
    text = f"class {name}: {recognised}, mean of the {len(values)} classes {percent(mean)} %"
    if name not in below:
        text += "; too few parts to exclude chance"
    if others := [n for n in below if n != name]:
        text += f"; surely below the mean too: {', '.join(others)}"
    return text


def _slice(outcomes: Outcomes, by: By, name: str, inside: Bools, groups: Names | None) -> Slice:
    def of(counted: Bools, among: Bools) -> Share:
        return grouped_share(counted[among], None if groups is None else groups[among])

    return Slice(
        by=by,
        name=name,
        n=int(inside.sum()),
        accuracy=of(outcomes.right, inside),
        escape=of(outcomes.escaped, inside & outcomes.bad),
        overkill=of(outcomes.overkilled, inside & ~outcomes.bad),
        review=of(~outcomes.passed & ~outcomes.failed, inside),
    )


def _surely_misjudged(found: Slice) -> tuple[float, int]:
    """Lower limit of the share of escapes and overkill together: one miss of one proves nothing."""
    interval = Rate(found.escape.k + found.overkill.k, found.n).ci95
    return (interval[0] if interval else 0.0, found.review.k)


def _suspicions(
    outcomes: Outcomes, by: str, name: str, inside: Bools, groups: Names | None
) -> list[Suspicion]:
    found = []
    for kind, asked, missed in (
        ("bad", outcomes.bad, outcomes.escaped),
        ("good", ~outcomes.bad, outcomes.overkilled),
    ):
        here, there = asked & inside, asked & ~inside
        own, others = (None if groups is None else groups[among] for among in (here, there))
        if min(here.sum(), there.sum()) < FEWEST:
            continue
        rest = float(missed[there].mean())
        # One that is not worse cannot be the worst, but is one of those that were looked at.
        p = 1.0
        if missed[here].mean() > rest:
            table = [_worth(missed[here], own), _worth(missed[there], others)]
            p = float(fisher_exact(table).pvalue)
        found.append(Suspicion(by, name, kind, grouped_share(missed[here], own), rest, p))
    return found


def _worth(missed: Bools, groups: Names | None) -> tuple[int, int]:
    """Missed and other parts, counted by what they are worth."""
    n = len(missed)
    if groups is not None:
        n = int(clustering.effective_number(missed, groups, END))
    k = round(float(missed.mean()) * n)
    return k, n - k


def _worst(suspicions: list[Suspicion]) -> str:
    """The slice with most excess among those that Holm's method lets stand."""
    proved = []
    for place, suspicion in enumerate(sorted(suspicions, key=lambda s: s.p)):
        if suspicion.p * (len(suspicions) - place) > LEVEL:
            break
        proved.append(suspicion)
    if not proved:
        return ""
    return max(proved, key=lambda s: (s.kind == "bad", s.excess)).sentence()
