"""When the next challenge run must have passed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from pipeline.daemon.challenge.due import MODEL, START, next_deadline, shift_around
from pipeline.daemon.settings.challenge import Challenge, KnownPartSettings
from pipeline.ledger.challenge.runs import Cause, ChallengeRun

PARTS = (
    KnownPartSettings(serial="RR-1", verdict="FAIL"),
    KnownPartSettings(serial="G-1", verdict="PASS"),
)
NOW = datetime(2026, 11, 25, 9, 0).astimezone()
NOW_S = 100_000.0
SHIFTS = ("06:00", "14:00", "22:00")
HOUR = 3600.0


def rules(**given: Any) -> Challenge:
    return Challenge(**{"parts": PARTS, "after_model_change": False, "grace_min": 30} | given)


def passed(ago_h: float) -> ChallengeRun:
    at_s = NOW_S - ago_h * HOUR
    return ChallengeRun(1, "", at_s, "anna", "cells/3", 900, (), "ended", at_s, True)


def left_h(given: Challenge, run: ChallengeRun | None, *causes: Cause, at: datetime = NOW) -> float:
    found = next_deadline(given, SHIFTS, run, causes, at, NOW_S)
    assert found is not None
    return (found.at_s - NOW_S) / HOUR


def test_hours_count_from_the_end_of_the_last_run_that_passed() -> None:
    assert left_h(rules(every_h=8), passed(3)) == pytest.approx(5)
    assert left_h(rules(every_h=8), passed(9)) == pytest.approx(-1)


def test_a_run_of_this_shift_lasts_until_the_next_one_and_its_grace() -> None:
    assert left_h(rules(each_shift=True), passed(2)) == pytest.approx(5.5)


def test_a_run_of_the_shift_before_lasts_no_longer_than_the_grace() -> None:
    assert left_h(rules(each_shift=True), passed(4)) == pytest.approx(-2.5)


def test_a_clock_that_is_set_back_makes_no_run_younger() -> None:
    back = NOW - timedelta(hours=2.5)
    assert left_h(rules(each_shift=True), passed(2), at=back) == pytest.approx(0)
    assert left_h(rules(every_h=8), passed(9), at=back) == pytest.approx(-1)


def test_causes_that_nobody_asked_for_need_no_run() -> None:
    cause = Cause(START, "", "", NOW_S)
    assert next_deadline(rules(every_h=8), SHIFTS, None, [cause], NOW, NOW_S) is None
    assert left_h(rules(after_start=True), None, cause) == pytest.approx(0.5)


def test_the_earliest_reason_counts() -> None:
    causes = Cause(MODEL, "cells/4", "", NOW_S), Cause(START, "", "", NOW_S - HOUR)
    given = rules(after_model_change=True, after_start=True, every_h=8)
    assert left_h(given, passed(1), *causes) == pytest.approx(-0.5)


def test_a_night_shift_began_the_day_before() -> None:
    night = datetime(2026, 11, 25, 3, 0).astimezone()
    begun, following = shift_around(night, SHIFTS)
    assert (begun.day, begun.hour, following.hour) == (24, 22, 6)
