"""Subgroups of inspected parts, from the ledger's counts by quarter of an hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import groupby

from pipeline.contracts.records import Verdict
from pipeline.ledger.quality.counts import PERIOD, Inspected

HOUR, DAY, PARTS = "hour", "day", "parts"
PERS = (HOUR, DAY, PARTS)
INSPECTED = (Verdict.PASS, Verdict.FAIL, Verdict.REVIEW)
# Behind the end of a subgroup: until then parts of it may still be at work.
SETTLED_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class Subgroup:
    """Parts of one stretch of time.

    Attributes:
        since, until: the stretch, in UTC, from and before.
        n: parts that were inspected: PASS, FAIL and REVIEW.
        fails: those of them with FAIL.
        complete: may no further part come into it?
        models: inspected parts by version of the model.
    """

    since: datetime
    until: datetime
    n: int
    fails: int
    complete: bool
    models: Counter[str]

    @property
    def share(self) -> float:
        """Share of fails, 0 to 1."""
        return self.fails / self.n


def subgroups(counts: Sequence[Inspected], per: str, size: int, now: datetime) -> list[Subgroup]:
    """The subgroups that have inspected parts, in the order of time.

    By `hour` and `day` they are those of the station's local time. By `parts` each has at least
    `size` parts, from whole quarters of an hour; they begin again with each day, whose last one has
    what is left. So they do not depend on how far back one looks.

    Args:
        counts: in the order of time, from the beginning of a day on.
        per: `hour`, `day` or `parts`.
        size: least number of parts where `per` is `parts`.
        now: with a time zone.
    """
    quarters = _quarters(counts)
    days = {quarter.since: day_of(quarter.since) for quarter in quarters}
    by_day = groupby(quarters, lambda quarter: days[quarter.since])
    if per == DAY:
        found = [_joined(list(of_day), day, next_day(day)) for day, of_day in by_day]
    elif per == HOUR:
        by_hour = groupby(quarters, lambda quarter: hour_of(quarter.since))
        found = [_joined(list(q), hour, hour + timedelta(hours=1)) for hour, q in by_hour]
    else:
        found = [s for day, q in by_day for s in _by_size(list(q), size, next_day(day))]
    return [replace(s, complete=s.until <= now - SETTLED_AFTER) for s in found]


def _quarters(counts: Sequence[Inspected]) -> list[Subgroup]:
    """The inspected parts of each quarter of an hour."""
    found = []
    for period, of_period in groupby(counts, lambda count: count.period):
        models: Counter[str] = Counter()
        fails = 0
        for count in of_period:
            models[count.model_version] += count.n
            fails += count.fails
        found.append(Subgroup(period, period + PERIOD, models.total(), fails, False, models))
    return found


def _by_size(quarters: Sequence[Subgroup], size: int, end: datetime) -> list[Subgroup]:
    """Those of one day, which ends then."""
    found: list[Subgroup] = []
    pending: list[Subgroup] = []
    for quarter in quarters:
        pending.append(quarter)
        if sum(q.n for q in pending) >= size:
            found.append(_joined(pending, pending[0].since, quarter.until))
            pending = []
    return [*found, _joined(pending, pending[0].since, end)] if pending else found


def _joined(quarters: Sequence[Subgroup], since: datetime, until: datetime) -> Subgroup:
    models: Counter[str] = Counter()
    for quarter in quarters:
        models.update(quarter.models)
    fails = sum(quarter.fails for quarter in quarters)
    return Subgroup(since, until, models.total(), fails, False, models)


def hour_of(at: datetime) -> datetime:
    """When the hour of a time began on the station's clock, in UTC."""
    local = at.astimezone()
    return at.astimezone(UTC) - timedelta(minutes=local.minute, seconds=local.second)


def day_of(at: datetime) -> datetime:
    """When the day of a time began on the station's clock, in UTC."""
    return datetime.combine(at.astimezone().date(), time()).astimezone().astimezone(UTC)


def next_day(day: datetime) -> datetime:
    """When the day behind that one begins, in UTC; a day may have 23 or 25 hours."""
    return day_of(day + timedelta(hours=36))


def whole_hours(*times: datetime) -> bool:
    """Is the station's clock away from UTC by whole hours at these times?"""
    offsets = (at.astimezone().utcoffset() or timedelta() for at in times)
    return not any(offset % timedelta(hours=1) for offset in offsets)
