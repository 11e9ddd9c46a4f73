"""Days left follow from the bytes that were written over the last day."""

from __future__ import annotations

import pytest

from pipeline.daemon.images.forecast import DAY_S, MEANINGFUL_S, Forecast
from pipeline.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def forecast(clock: FakeClock) -> Forecast:
    return Forecast(clock)


def test_without_room_no_day_is_left(forecast: Forecast) -> None:
    assert forecast.days(0) == forecast.days(-1) == 0


def test_the_first_minutes_give_no_forecast(forecast: Forecast, clock: FakeClock) -> None:
    forecast.add(1000)
    clock.advance(MEANINGFUL_S - 1)
    assert forecast.days(1000) is None
    clock.advance(1)
    assert forecast.days(1000) == pytest.approx(MEANINGFUL_S / DAY_S)


def test_nothing_written_gives_no_forecast(forecast: Forecast, clock: FakeClock) -> None:
    clock.advance(DAY_S)
    assert forecast.days(1000) is None


def test_what_was_written_more_than_a_day_ago_does_not_count(
    forecast: Forecast, clock: FakeClock
) -> None:
    forecast.add(10**9)
    clock.advance(2 * DAY_S)
    forecast.add(100)
    assert forecast.days(300) == pytest.approx(3)
