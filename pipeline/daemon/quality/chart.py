"""The control chart of the share of fails: subgroups, limits and the signals among them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.daemon.quality.limits import Limits, fitted
from pipeline.daemon.quality.patterns import Signal, signals
from pipeline.daemon.quality.subgroups import DAY, HOUR, PARTS, PERS, Subgroup, day_of, subgroups
from pipeline.errors import DataError, choices
from pipeline.ledger.quality.baselines import Baseline
from pipeline.ledger.quality.counts import read_inspected

# AIAG, "Statistical Process Control", 2nd edition: 50 to 200 parts or more in each subgroup of a
# p-chart; ISO 7870-2: limits from 20 to 25 subgroups.
LEAST_PARTS, LEAST_SUBGROUPS = 50, 20
SHOWN = {HOUR: timedelta(days=7), DAY: timedelta(days=40), PARTS: timedelta(days=7)}
MOST_DAYS = 400  # of a period that is asked for
MOST_SIZE = 1_000_000


@dataclass(frozen=True)
class Plan:
    """Which parts a chart shows, and how they are put into subgroups.

    Attributes:
        camera: by its name; "" for all of the station.
        per: `hour`, `day` or `parts`.
        size: least number of parts in a subgroup where `per` is `parts`; else 0.
    """

    camera: str = ""
    per: str = HOUR
    size: int = 0

    @classmethod
    def checked(cls, camera: str, per: str, size: int) -> Plan:
        """A plan that was asked for; raises DataError where it cannot be followed."""
        if per not in PERS:
            raise DataError(f'per "{per[:50]}" unknown; {choices(per, PERS)}')
        if per == PARTS and not LEAST_PARTS <= size <= MOST_SIZE:
            raise DataError(
                f"a subgroup of {size} parts is too small or too large; give a size from "
                f"{LEAST_PARTS} to {MOST_SIZE}"
            )
        return cls(camera, per, size if per == PARTS else 0)

    def fits(self, baseline: Baseline) -> bool:
        """Are these the limits of this chart?"""
        return (baseline.camera, baseline.per, baseline.size) == (self.camera, self.per, self.size)


@dataclass(frozen=True)
class Point:
    """One subgroup in the chart.

    Attributes:
        of: the subgroup.
        usable: is it complete, with at least `LEAST_PARTS` parts? Others are shown, not tested.
        lower, upper: its limits; None where there are none yet.
        signals: the patterns that it completes.
    """

    of: Subgroup
    usable: bool
    lower: float | None = None
    upper: float | None = None
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A control chart.

    Attributes:
        limits: None while there are too few parts.
        baseline: where a person has set the limits; None where they are those of what is shown,
            to look at and to be set.
        points: in the order of time.
    """

    limits: Limits | None
    baseline: Baseline | None
    points: tuple[Point, ...]

    @property
    def usable(self) -> int:
        """Number of subgroups from which limits can come."""
        return sum(point.usable for point in self.points)

    @property
    def lacking(self) -> str:
        """Why there are no limits yet, "" where there are."""
        if self.limits is not None:
            return ""
        if self.usable < LEAST_SUBGROUPS:
            return "parts"
        return "fails"


def chart_of(found: Sequence[Subgroup], baseline: Baseline | None) -> Chart:
    """The chart of some subgroups, in the order of time.

    Args:
        found: what it shows.
        baseline: with its limits; None: those of the subgroups themselves, where they are enough.
    """
    usable = [s for s in found if is_usable(s)]
    if baseline is not None:
        limits: Limits | None = Limits(baseline.chart, baseline.centre, baseline.sigma_z)
    else:
        limits = _trial(usable)
    if limits is None:
        return Chart(None, None, tuple(Point(s, is_usable(s)) for s in found))
    n = [s.n for s in found]
    lower, upper = limits.lower(n), limits.upper(n)
    z = limits.standardized([s.n for s in usable], [s.fails for s in usable])
    by_subgroup: dict[datetime, list[Signal]] = {}
    for signal in signals(z.tolist()):
        by_subgroup.setdefault(usable[signal.at].since, []).append(signal)
    points = (
        Point(s, is_usable(s), float(low), float(high), tuple(by_subgroup.get(s.since, ())))
        for s, low, high in zip(found, lower, upper, strict=True)
    )
    return Chart(limits, baseline, tuple(points))


def is_usable(found: Subgroup) -> bool:
    """Is a subgroup complete, and large enough to be tested?"""
    return found.complete and found.n >= LEAST_PARTS


def _trial(usable: Sequence[Subgroup]) -> Limits | None:
    if len(usable) < LEAST_SUBGROUPS:
        return None
    try:
        return fitted([s.n for s in usable], [s.fails for s in usable])
    except ValueError:
        return None


def baseline_from(
    db: sqlite3.Connection,
    plan: Plan,
    since: datetime,
    until: datetime,
    person: str,
    comment: str,
    now: datetime,
) -> Baseline:
    """Limits from a period, to be stored.

    Args:
        db: of the ledger.
        plan: which chart.
        since: with a time zone; only subgroups that lie within the period count.
        until: with a time zone.
        person: who answers for it.
        comment: the reason, "" for none.
        now: with a time zone.

    Raises:
        DataError: nobody is named, the period is empty or too long, has too few parts, or no part
            failed, or every part.
    """
    if not person.strip():
        raise DataError("no name is given; name the person who answers for the limits")
    all_of_it = subgroups_of(db, plan, since, until, now)
    found = [s for s in all_of_it if is_usable(s) and s.since >= since and s.until <= until]
    if len(found) < LEAST_SUBGROUPS:
        raise DataError(
            f"this period has {len(found)} complete subgroups of at least {LEAST_PARTS} parts; "
            f"limits need {LEAST_SUBGROUPS}: choose a longer period, or other subgroups"
        )
    n, fails = [s.n for s in found], [s.fails for s in found]
    try:
        limits = fitted(n, fails)
    except ValueError:
        raise DataError(
            f"{sum(fails)} of {sum(n)} parts failed in this period; limits need some that failed "
            "and some that did not: choose a longer period"
        ) from None
    models = sum((s.models for s in found), Counter[str]())
    return Baseline(
        set_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        set_by=person.strip(),
        comment=comment.strip(),
        camera=plan.camera,
        per=plan.per,
        size=plan.size,
        since=found[0].since.isoformat(),
        until=found[-1].until.isoformat(),
        subgroups=len(found),
        parts=sum(n),
        fails=sum(fails),
        model_version=models.most_common(1)[0][0],
        chart=limits.chart,
        centre=limits.centre,
        sigma_z=limits.sigma_z,
    )


def subgroups_of(
    db: sqlite3.Connection, plan: Plan, since: datetime, until: datetime, now: datetime
) -> list[Subgroup]:
    """The subgroups of the days of a period; raises DataError for none and for a very long one."""
    if not since < until:
        raise DataError("the period ends before it begins; give a later `until`")
    if until - since > timedelta(days=MOST_DAYS):
        raise DataError(f"the period is longer than {MOST_DAYS} days; give a later `since`")
    counts = read_inspected(db, day_of(since), until, plan.camera)
    return subgroups(counts, plan.per, plan.size, now)
