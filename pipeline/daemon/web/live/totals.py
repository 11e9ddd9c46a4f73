"""Counts of verdicts since the beginning of the shift and of the day, in local time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from pipeline.contracts.records import Record, RecordKind, Verdict

KEPT = timedelta(hours=49)  # of minutes: a day of 25 hours, and a clock that is set back
JUDGED = (Verdict.PASS, Verdict.FAIL, Verdict.REVIEW)


@dataclass(frozen=True)
class Total:
    """Verdicts of a period.

    Attributes:
        since: when it began, with a time zone.
        verdicts: number of records by verdict.
    """

    since: datetime
    verdicts: dict[Verdict, int]

    @property
    def yield_share(self) -> float | None:
        """Share of PASS among the parts that were inspected, 0 to 1; None before the first."""
        judged = sum(self.verdicts[v] for v in JUDGED)
        return self.verdicts[Verdict.PASS] / judged if judged else None


class Totals:
    """Counts records by the minute of their trigger. Thread-safe."""

    def __init__(self, shifts: Sequence[str]) -> None:
        """Start with nothing.

        Args:
            shifts: when shifts begin, as `06:00`, in local time.
        """
        self._starts = tuple(time.fromisoformat(start) for start in shifts)
        self._lock = threading.Lock()
        self._minutes: dict[str, Counter[Verdict]] = {}
        self._running: dict[str, Counter[Verdict]] = {}  # by the first minute that counts

    def add(self, record: Record) -> None:
        """Count one more record, of a part."""
        if record.kind is not RecordKind.PART:
            return
        minute = record.captured_at[:16]
        with self._lock:
            self._count(minute, record.verdict, 1)

    def add_counts(self, counts: Iterable[tuple[str, Verdict, int]]) -> None:
        """Count records of before, by minute in UTC and verdict."""
        with self._lock:
            for minute, verdict, n in counts:
                self._count(minute, verdict, n)

    def shift(self, now: datetime) -> Total:
        """Of the present shift."""
        return self._since(shift_start(now, self._starts))

    def day(self, now: datetime) -> Total:
        """Of the present day."""
        return self._since(day_start(now))

    def _count(self, minute: str, verdict: Verdict, n: int) -> None:
        self._minutes.setdefault(minute, Counter())[verdict] += n
        for first, counter in self._running.items():
            if minute >= first:
                counter[verdict] += n

    def _since(self, since: datetime) -> Total:
        first = _minute(since)
        with self._lock:
            counter = self._running.get(first)
            if counter is None:
                counter = Counter()
                for minute, counts in self._minutes.items():
                    if minute >= first:
                        counter.update(counts)
                self._forget(since)
                self._running[first] = counter
            return Total(since, {v: counter[v] for v in Verdict})

    def _forget(self, now: datetime) -> None:
        """Leave out what no shift or day of today counts."""
        oldest = _minute(now - KEPT)
        for known in (self._minutes, self._running):
            for minute in [m for m in known if m < oldest]:
                del known[minute]


def shift_start(now: datetime, starts: Sequence[time]) -> datetime:
    """When the present shift began, in local time."""
    here = now.astimezone()
    days = (here.date(), here.date() - timedelta(days=1))
    begun = (datetime.combine(day, start).astimezone() for day in days for start in starts)
    return max(at for at in begun if at <= here)


def day_start(now: datetime) -> datetime:
    """When the present day began, in local time."""
    return datetime.combine(now.astimezone().date(), time()).astimezone()


def _minute(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
