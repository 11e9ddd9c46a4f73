"""What changed with time: yield, reasons, classes, scores, drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.quality.history import drift, pareto, reasons, stretches
from pipeline.ledger.quality.counts import Count, DriftSample

AT = datetime(2026, 11, 23, 6, tzinfo=UTC)


def count(verdict: Verdict, n: int, label: str = "", hours: float = 0, score: float = 0) -> Count:
    return Count(AT + timedelta(hours=hours), verdict, label, n, score)


COUNTS = [
    count(Verdict.PASS, 90, "good", score=9.0),
    count(Verdict.FAIL, 6, "crack", score=5.0),
    count(Verdict.FAIL, 3, "hole", 0.25, score=2.0),
    count(Verdict.REVIEW, 1, "hole", 0.25, score=0.5),
    count(Verdict.NOT_INSPECTED, 4, "overload", 0.5),
    count(Verdict.NOT_INSPECTED, 2, "unreadable", 0.5),
    count(Verdict.NOT_INSPECTED, 5, "no frame", 1),
]


def test_each_hour_has_its_verdicts_yield_and_mean_score() -> None:
    first, second = stretches(COUNTS, "hour")
    assert first.verdicts == {"PASS": 90, "FAIL": 9, "REVIEW": 1, "NOT_INSPECTED": 6}
    assert (first.inspected, first.yield_share) == (100, 0.9)
    assert first.score == pytest.approx(0.165)
    assert (second.yield_share, second.score) == (None, None)


def test_reasons_are_counted_and_those_of_pictures_stand_apart() -> None:
    first, second = stretches(COUNTS, "hour")
    assert first.reasons == {"overload": 4, "unreadable": 2}
    assert first.bad_pictures == {"no frame": 0, "unreadable": 2, "frozen": 0, "wrong size": 0}
    assert second.bad_pictures["no frame"] == 5
    assert reasons(COUNTS).most_common() == [("no frame", 5), ("overload", 4), ("unreadable", 2)]


def test_a_day_is_one_stretch() -> None:
    (day,) = stretches(COUNTS, "day")
    assert day.verdicts[Verdict.NOT_INSPECTED] == 11


def test_the_pareto_chart_begins_with_the_most_frequent_class_and_ends_with_all() -> None:
    bars = pareto([*COUNTS, count(Verdict.FAIL, 1, "dirt")])
    assert [(bar.name, bar.n) for bar in bars] == [("crack", 6), ("hole", 3), ("dirt", 1)]
    assert [bar.together for bar in bars] == [0.6, 0.9, 1.0]
    assert bars[0].share == 0.6
    assert pareto([]) == []


def test_the_last_sample_of_drift_of_an_hour_stands_for_it() -> None:
    samples = [
        DriftSample(AT + timedelta(minutes=15 * i), "cells/3", i, i / 10, None, None, None)
        for i in range(6)
    ]
    assert [sample.parts for sample in drift(samples, "hour")] == [3, 5]
