"""Counts of the last days, as the worker of a station would have made them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.contracts.records import Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.counts import DriftSample, add_drift

FAILS = [2, 1, 3, 2, 4, 1, 2, 3, 0, 2, 3, 1]
HOUR = timedelta(hours=1)


def hours_ago(hours: int) -> datetime:
    """When an hour of before began; the last one is over for long enough to be complete."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - (hours + 1) * HOUR


def fill(ledger: Ledger, fails: list[int], n: int = 100, camera: str = "camera") -> None:
    """So many fails in each of the last hours, the last one being over."""
    with ledger.writing() as db:
        for i, failed in enumerate(fails):
            at = hours_ago(len(fails) - i)
            kinds = [
                (Verdict.PASS, "good", n - failed, 3.5),
                (Verdict.FAIL, "crack", failed - failed // 3, 0.9),
                (Verdict.FAIL, "hole", failed // 3, 0.9),
                (Verdict.NOT_INSPECTED, "overload", i % 3, 0.0),
                (Verdict.NOT_INSPECTED, "unreadable", i % 2, 0.0),
            ]
            for verdict, label, many, score in kinds:
                if many:
                    row = (f"{at:%Y-%m-%dT%H:%M}", camera, "cells/3", verdict, label, many, score)
                    db.execute("INSERT INTO verdict_counts VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for i in range(len(fails)):
        sample = DriftSample(hours_ago(i + 1), "cells/3", 100 * i, 0.04, 0.03, 1.1, 1.0)
        add_drift(ledger, sample)
