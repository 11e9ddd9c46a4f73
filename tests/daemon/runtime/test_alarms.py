"""Alarms are logged when they are raised and when they are over, and not in between."""

from __future__ import annotations

import logging

import pytest

from pipeline.daemon.runtime.alarms import CALM_S, Alarms
from pipeline.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def alarms(clock: FakeClock) -> Alarms:
    return Alarms(clock, logging.getLogger("station"))


def test_all_raised_alarms_are_reported_together(alarms: Alarms) -> None:
    assert alarms.text == ""
    alarms.raise_("disk", "the disk is full")
    alarms.raise_("backlog", "too many wait")
    assert alarms.text == "the disk is full; too many wait"


def test_an_alarm_raised_again_is_logged_once_and_shows_its_last_text(
    alarms: Alarms, caplog: pytest.LogCaptureFixture
) -> None:
    alarms.raise_("backlog", "64 wait")
    alarms.raise_("backlog", "63 wait")
    assert alarms.text == "63 wait"
    assert caplog.messages == ["64 wait"]


def test_an_alarm_that_comes_and_goes_is_one_until_it_stays_away(
    alarms: Alarms, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        alarms.raise_("disk", "the disk is full")
        clock.advance(CALM_S / 2)
        alarms.clear("disk")
    assert alarms.text == "the disk is full"
    clock.advance(CALM_S)
    alarms.clear("disk")
    assert alarms.text == ""
    assert caplog.messages == ["the disk is full", "over: the disk is full"]


def test_an_alarm_that_was_never_raised_may_be_cleared(
    alarms: Alarms, caplog: pytest.LogCaptureFixture
) -> None:
    alarms.clear("disk")
    assert caplog.messages == []
