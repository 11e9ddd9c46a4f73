"""Counts of shift and day, in local time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.web.live.totals import Totals, day_start, shift_start
from tests.daemon.web.live.conftest import NOON, part

SHIFTS = ("06:00", "14:00", "22:00")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in Berlin."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def local(hour: int, minute: int = 0, day: int = 28) -> datetime:
    return datetime(2026, 11, day, hour, minute).astimezone()


@pytest.mark.parametrize(
    ("now", "began"),
    [
        ((6, 0, 28), (6, 28)),
        ((13, 59, 28), (6, 28)),
        ((14, 0, 28), (14, 28)),
        ((23, 30, 28), (22, 28)),
        ((5, 59, 28), (22, 27)),
    ],
)
def test_a_shift_begins_by_the_clock_on_the_wall(
    berlin: None, now: tuple[int, int, int], began: tuple[int, int]
) -> None:
    starts = [datetime.strptime(s, "%H:%M").time() for s in SHIFTS]
    hour, day = began
    assert shift_start(local(now[0], now[1], now[2]), starts) == local(hour, day=day)


def test_a_day_begins_at_local_midnight(berlin: None) -> None:
    assert day_start(datetime(2026, 11, 28, 23, 30, tzinfo=UTC)) == local(0, day=29)


def test_verdicts_count_from_the_beginning_of_shift_and_day(berlin: None) -> None:
    totals = Totals(SHIFTS)
    for i, hour in enumerate((5, 7, 13, 14, 15)):
        totals.add(part(i, Verdict.FAIL, local(hour).astimezone(UTC)))
    totals.add_counts(
        [("2026-11-28T06:30", Verdict.PASS, 40), ("2026-11-27T10:00", Verdict.PASS, 9)]
    )
    morning, afternoon = totals.shift(local(13, 30)), totals.shift(local(15, 30))
    assert (morning.since, morning.verdicts[Verdict.FAIL]) == (local(6), 4)
    assert (afternoon.since, afternoon.verdicts[Verdict.FAIL]) == (local(14), 2)
    day = totals.day(local(15, 30))
    assert (day.since, day.verdicts[Verdict.FAIL], day.verdicts[Verdict.PASS]) == (local(0), 5, 40)


def test_parts_go_on_being_counted_once_a_total_was_read(berlin: None) -> None:
    totals = Totals(SHIFTS)
    assert totals.day(local(12)).verdicts[Verdict.PASS] == 0
    totals.add(part(1, at=local(12).astimezone(UTC)))
    totals.add(part(2, at=local(12, day=27).astimezone(UTC)))  # closed late, of yesterday
    assert totals.day(local(12)).verdicts[Verdict.PASS] == 1


def test_yield_is_the_share_of_pass_among_inspected_parts() -> None:
    totals = Totals(SHIFTS)
    assert totals.day(NOON).yield_share is None
    for i, verdict in enumerate(
        (Verdict.PASS,) * 3 + (Verdict.FAIL,) + (Verdict.NOT_INSPECTED,) * 6
    ):
        totals.add(part(i, verdict))
    assert totals.day(NOON).yield_share == 0.75


def test_minutes_of_former_days_are_forgotten() -> None:
    totals = Totals(SHIFTS)
    totals.add(part(1, at=NOON - timedelta(days=5)))
    totals.day(NOON)
    assert totals.day(NOON - timedelta(days=5)).verdicts[Verdict.PASS] == 0
