"""Counts by quarter of an hour: each closed record once, however counting is interrupted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contracts.records import Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.counts import (
    Count,
    CountProgress,
    DriftSample,
    Inspected,
    add_drift,
    count_next,
    period_of,
    progress,
    read_counts,
    read_drift,
    read_inspected,
)
from tests.ledger.quality.conftest import AT, Judge

PERIOD = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def counts(ledger: Ledger, camera: str = "") -> list[Count]:
    with ledger.reading() as db:
        return read_counts(db, PERIOD - DAY, PERIOD + DAY, camera)


def test_records_are_counted_by_period_camera_model_verdict_and_label(
    ledger: Ledger, judge: Judge
) -> None:
    judge(n=3)
    judge(Verdict.FAIL, part_class="crack")
    judge(Verdict.NOT_INSPECTED, reason="overload: 16 frames wait", camera="side")
    judge(at=AT + timedelta(minutes=40), model="cells/4")
    assert count_next(ledger) == CountProgress(6, 6)
    assert counts(ledger) == [
        Count(PERIOD, Verdict.FAIL, "crack", 1, 0.25),
        Count(PERIOD, Verdict.NOT_INSPECTED, "overload", 1, 0.0),
        Count(PERIOD, Verdict.PASS, "good", 3, 0.75),
        Count(PERIOD + timedelta(minutes=45), Verdict.PASS, "good", 1, 0.25),
    ]
    assert [count.n for count in counts(ledger, "side")] == [1]
    with ledger.reading() as db:
        hourly = read_counts(db, PERIOD, PERIOD + DAY, by_hour=True)
        assert hourly[-1] == Count(PERIOD, Verdict.PASS, "good", 4, 1.0)
        assert read_inspected(db, PERIOD, PERIOD + DAY) == [
            Inspected(PERIOD, "cells/3", 4, 1),
            Inspected(PERIOD + timedelta(minutes=45), "cells/4", 1, 0),
        ]
        assert read_inspected(db, PERIOD, PERIOD + DAY, "side") == []


def test_counting_goes_on_where_it_ended_and_counts_nothing_twice(
    ledger: Ledger, judge: Judge
) -> None:
    judge(n=5)
    assert count_next(ledger, most=2) == CountProgress(2, 5)
    assert [count.n for count in counts(ledger)] == [2]
    while not count_next(ledger, most=2).done:
        pass
    judge(Verdict.PASS)
    count_next(ledger)
    count_next(ledger)
    assert [count.n for count in counts(ledger)] == [6]


def test_counting_waits_for_a_record_that_is_open(ledger: Ledger, judge: Judge) -> None:
    judge()
    ledger.open_record(AT, "at work")
    judge(n=2)
    assert count_next(ledger) == CountProgress(1, 1)
    assert [count.n for count in counts(ledger)] == [1]


def test_counts_outlive_the_records_that_were_archived(ledger: Ledger, judge: Judge) -> None:
    judge(n=2)
    count_next(ledger)
    with ledger.writing() as db:
        db.execute("DELETE FROM records")
    assert count_next(ledger).done
    assert [count.n for count in counts(ledger)] == [2]


def test_how_far_counting_has_come_is_known(ledger: Ledger, judge: Judge) -> None:
    with ledger.reading() as db:
        assert progress(db) == CountProgress(0, 0)
        assert progress(db).share == 1.0
    judge(n=4)
    assert count_next(ledger, most=1).share == pytest.approx(0.25)


def test_a_period_within_limits_that_are_not_its_own_counts_from_its_beginning(
    ledger: Ledger, judge: Judge
) -> None:
    judge()
    count_next(ledger)
    with ledger.reading() as db:
        assert read_counts(db, PERIOD, PERIOD) == []
        assert len(read_counts(db, PERIOD, PERIOD + timedelta(seconds=1))) == 1
        assert read_counts(db, PERIOD + timedelta(seconds=1), PERIOD + DAY) == []


def test_the_last_sample_of_drift_of_a_period_is_kept(ledger: Ledger) -> None:
    first = DriftSample(period_of(AT), "cells/3", 10, 0.1, None, None, None)
    last = DriftSample(period_of(AT), "cells/3", 250, 0.2, 0.1, 1.5, 1.0)
    add_drift(ledger, first)
    add_drift(ledger, last)
    with ledger.reading() as db:
        assert read_drift(db, PERIOD, PERIOD + DAY) == [last]
        assert read_drift(db, PERIOD + DAY, PERIOD + 2 * DAY) == []
