"""What is wrong at the moment."""

from __future__ import annotations

import logging

import pytest

from pipeline.daemon.clock import FakeClock
from pipeline.daemon.trouble import CALM_S, Troubles


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def troubles(clock: FakeClock) -> Troubles:
    return Troubles(clock, logging.getLogger("station"))


def test_all_that_is_wrong_is_told_together(troubles: Troubles) -> None:
    assert troubles.text == ""
    troubles.tell("disk", "the disk is full")
    troubles.tell("backlog", "too many wait")
    assert troubles.text == "the disk is full; too many wait"


def test_trouble_that_goes_on_is_logged_once_and_told_as_it_is_now(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.tell("backlog", "64 wait")
    troubles.tell("backlog", "63 wait")
    assert troubles.text == "63 wait"
    assert caplog.messages == ["64 wait"]


def test_trouble_that_comes_and_goes_is_one_until_it_stays_away(
    troubles: Troubles, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        troubles.tell("disk", "the disk is full")
        clock.advance(CALM_S / 2)
        troubles.cease("disk")
    assert troubles.text == "the disk is full"
    clock.advance(CALM_S)
    troubles.cease("disk")
    assert troubles.text == ""
    assert caplog.messages == ["the disk is full", "over: the disk is full"]


def test_what_was_never_wrong_may_be_well(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.cease("disk")
    assert caplog.messages == []
