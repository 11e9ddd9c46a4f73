"""What changed with time: verdicts, reasons, classes, scores, pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.contracts.records import Verdict
from pipeline.daemon.quality.subgroups import DAY, INSPECTED, day_of, hour_of
from pipeline.ledger.quality.counts import Count, DriftSample

# Kinds of reasons that speak of the picture, and not of the time or the station.
OF_PICTURES = ("no frame", "unreadable", "frozen", "wrong size")


@dataclass
class Stretch:
    """Records of one hour or day.

    Attributes:
        since: when it began, in UTC.
        verdicts: number of records by verdict.
        reasons: why parts were not inspected, by kind.
        score_sum: of the defect scores of inspected parts.
    """

    since: datetime
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    score_sum: float = 0.0

    @property
    def inspected(self) -> int:
        """Parts with PASS, FAIL or REVIEW."""
        return sum(self.verdicts[verdict] for verdict in INSPECTED)

    @property
    def yield_share(self) -> float | None:
        """Share of PASS among the inspected parts, 0 to 1; None without any."""
        return self.verdicts[Verdict.PASS] / self.inspected if self.inspected else None

    @property
    def score(self) -> float | None:
        """Mean defect score of the inspected parts; None without any."""
        return self.score_sum / self.inspected if self.inspected else None

    @property
    def bad_pictures(self) -> dict[str, int]:
        """Parts without a usable picture, by kind of reason."""
        return {kind: self.reasons[kind] for kind in OF_PICTURES}


@dataclass(frozen=True)
class ClassCount:
    """One bar of the Pareto chart.

    Attributes:
        name: of the class.
        n: parts that failed for it.
        share: of all that failed, 0 to 1.
        together: the same with all more frequent classes.
    """

    name: str
    n: int
    share: float
    together: float


def stretches(counts: Sequence[Count], per: str) -> list[Stretch]:
    """Records by local `day`, or else by hour, in the order of time."""
    begin = day_of if per == DAY else hour_of
    begun = {period: begin(period) for period in {count.period for count in counts}}
    found: dict[datetime, Stretch] = {}
    for count in counts:
        since = begun[count.period]
        here = found.get(since)
        if here is None:
            here = found[since] = Stretch(since)
        here.verdicts[count.verdict] += count.n
        if count.verdict is Verdict.NOT_INSPECTED:
            here.reasons[count.label] += count.n
        else:
            here.score_sum += count.score_sum
    return list(found.values())


def pareto(counts: Sequence[Count]) -> list[ClassCount]:
    """The classes of the parts that failed, the most frequent first.

    Pareto chart: J. M. Juran, "Quality Control Handbook"; bars in falling order, and their sum.
    """
    classes: Counter[str] = Counter()
    for count in counts:
        if count.verdict is Verdict.FAIL:
            classes[count.label] += count.n
    total, so_far = classes.total(), 0
    found = []
    for name, n in classes.most_common():
        so_far += n
        found.append(ClassCount(name, n, n / total, so_far / total))
    return found


def reasons(counts: Sequence[Count]) -> Counter[str]:
    """Why parts were not inspected, by kind."""
    found: Counter[str] = Counter()
    for count in counts:
        if count.verdict is Verdict.NOT_INSPECTED:
            found[count.label] += count.n
    return found


def drift(samples: Sequence[DriftSample], per: str) -> list[DriftSample]:
    """The last sample of each local `day`, or else hour, and model, in the order of time."""
    begin = day_of if per == DAY else hour_of
    last = {(begin(sample.period), sample.model_version): sample for sample in samples}
    return list(last.values())
