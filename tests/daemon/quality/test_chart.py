"""The control chart: limits of a baseline or of what is shown, signals, and too few parts."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.quality.chart import (
    LEAST_SUBGROUPS,
    Plan,
    baseline_from,
    chart_of,
    subgroups_of,
)
from pipeline.daemon.quality.subgroups import Subgroup
from pipeline.errors import DataError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.baselines import Baseline
from tests.ledger.quality.test_baselines import FIRST

AT = datetime(2026, 11, 23, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FAILS = [2, 1, 3, 2, 4, 1, 2, 3, 0, 2]


def hours(fails: list[int], n: int = 100) -> list[Subgroup]:
    return [
        Subgroup(AT + i * HOUR, AT + (i + 1) * HOUR, n, f, True, Counter(cells=n))
        for i, f in enumerate(fails)
    ]


def fill(ledger: Ledger, fails: list[int], n: int = 100, camera: str = "top") -> None:
    """Counts as the worker would have made them, an hour each."""
    with ledger.writing() as db:
        for i, failed in enumerate(fails):
            period = f"{AT + i * HOUR:%Y-%m-%dT%H:%M}"
            for verdict, many in ((Verdict.PASS, n - failed), (Verdict.FAIL, failed)):
                if many:
                    db.execute(
                        "INSERT INTO verdict_counts VALUES (?, ?, 'cells/3', ?, 'x', ?, 0)",
                        (period, camera, verdict, many),
                    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", "west-1")


def set_limits(ledger: Ledger, plan: Plan | None = None, person: str = "A. Weber") -> Baseline:
    with closing(ledger), ledger.reading() as db:
        now = AT + timedelta(days=9)
        period = (AT, AT + timedelta(days=5))
        return baseline_from(db, plan or Plan(), *period, person, " new lamp ", now)


def test_a_chart_has_the_limits_of_its_baseline_and_the_signals_by_them() -> None:
    chart = chart_of(hours([2, 1, 12]), FIRST)
    assert chart.limits is not None
    assert chart.limits.centre == FIRST.centre
    assert [point.lower for point in chart.points] == [0.0] * 3
    assert chart.points[0].upper == pytest.approx(0.02 + 3 * (0.02 * 0.98 / 100) ** 0.5)
    assert [[s.test for s in point.signals] for point in chart.points] == [[], [], [1]]


def test_without_a_baseline_enough_subgroups_have_trial_limits() -> None:
    chart = chart_of(hours(FAILS * 2), None)
    assert (chart.baseline, chart.lacking) == (None, "")
    assert chart.limits is not None
    assert chart.limits.centre == pytest.approx(0.02)


def test_too_few_subgroups_have_no_limits_and_the_chart_reports_what_lacks() -> None:
    chart = chart_of(hours(FAILS), None)
    assert (chart.limits, chart.lacking, chart.usable) == (None, "parts", 10)
    assert [point.upper for point in chart.points] == [None] * 10
    assert chart_of(hours([0] * 20), None).lacking == "fails"
    assert chart_of([], None).lacking == "parts"


def test_a_subgroup_of_few_parts_or_that_is_not_complete_is_shown_and_not_tested() -> None:
    few = hours([40], n=49)
    running = [Subgroup(AT, AT + HOUR, 100, 90, False, Counter())]
    for found in (few, running):
        (point,) = chart_of(found, FIRST).points
        assert (point.usable, point.signals) == (False, ())
        assert point.upper is not None


def test_limits_are_set_from_the_usable_subgroups_of_a_period(ledger: Ledger) -> None:
    fill(ledger, FAILS * 3)
    baseline = set_limits(ledger)
    assert (baseline.subgroups, baseline.parts, baseline.fails) == (30, 3000, 60)
    assert (baseline.set_by, baseline.comment, baseline.model_version) == (
        *("A. Weber", "new lamp", "cells/3"),
    )
    assert (baseline.chart, baseline.centre, baseline.sigma_z) == ("p", 0.02, 1.0)
    assert baseline.since == AT.isoformat()
    assert baseline.until == (AT + 30 * HOUR).isoformat()


def test_only_subgroups_within_the_period_count(ledger: Ledger) -> None:
    fill(ledger, FAILS * 3)
    with ledger.reading() as db:
        since, until = AT + timedelta(minutes=30), AT + 25.5 * HOUR
        found = baseline_from(db, Plan(), since, until, "A. Weber", "", AT + timedelta(days=9))
    assert (found.subgroups, found.since) == (24, (AT + HOUR).isoformat())


@pytest.mark.parametrize(
    ("fails", "person", "why"),
    [
        (FAILS * 3, "  ", "name the person"),
        (FAILS, "A. Weber", f"10 complete subgroups .* limits need {LEAST_SUBGROUPS}"),
        ([0] * 30, "A. Weber", "0 of 3000 parts failed"),
        ([100] * 30, "A. Weber", "3000 of 3000 parts failed"),
    ],
)
def test_limits_without_a_name_or_from_too_little_are_refused(
    ledger: Ledger, fails: list[int], person: str, why: str
) -> None:
    fill(ledger, fails)
    with pytest.raises(DataError, match=why):
        set_limits(ledger, person=person)


def test_a_chart_of_one_camera_has_its_parts_only(ledger: Ledger) -> None:
    fill(ledger, [1, 2])
    fill(ledger, [9], camera="side")
    with closing(ledger), ledger.reading() as db:
        period = (AT, AT + timedelta(days=1), AT + timedelta(days=2))
        assert [s.fails for s in subgroups_of(db, Plan("side"), *period)] == [9]
        assert [s.fails for s in subgroups_of(db, Plan(), *period)] == [10, 2]


@pytest.mark.parametrize(
    ("days", "why"), [(0, "ends before it begins"), (-1, "ends before"), (401, "longer than 400")]
)
def test_a_period_of_nothing_or_of_years_is_refused(ledger: Ledger, days: int, why: str) -> None:
    with (
        closing(ledger),
        ledger.reading() as db,
        pytest.raises(DataError, match=why),
    ):
        subgroups_of(db, Plan(), AT, AT + timedelta(days=days), AT)


def test_a_plan_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(DataError, match='per "weeks" unknown; '):
        Plan.checked("", "weeks", 0)
    with pytest.raises(DataError, match="a subgroup of 49 parts is too small"):
        Plan.checked("", "parts", 49)
    assert Plan.checked("top", "hour", 200) == Plan("top", "hour", 0)
    assert Plan("", "hour").fits(FIRST)
    assert not Plan("", "day").fits(FIRST)
