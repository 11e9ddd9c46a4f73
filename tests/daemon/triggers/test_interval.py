"""A part every n milliseconds."""

from __future__ import annotations

from itertools import islice

import pytest

from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.triggers.interval import Config
from pipeline.testing import FakeClock


def test_ticks_are_even_and_do_not_drift() -> None:
    clock, times = FakeClock(), []
    for call in islice(
        Config(type="interval", every_ms=100).open(clock).calls(Heartbeat(clock)), 5
    ):
        times.append(call.at_s)
        clock.advance(0.03)
    assert times == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_missed_ticks_are_not_caught_up_in_a_burst() -> None:
    clock, times = FakeClock(), []
    for call in islice(
        Config(type="interval", every_ms=100).open(clock).calls(Heartbeat(clock)), 4
    ):
        times.append(call.at_s)
        clock.advance(0.35 if len(times) == 1 else 0)
    assert times == pytest.approx([0.1, 0.5, 0.6, 0.7])


def test_both_times_of_a_call_are_the_same_moment() -> None:
    clock = FakeClock()
    call = next(Config(type="interval", every_ms=250).open(clock).calls(Heartbeat(clock)))
    assert (call.at, call.at_s) == (clock.now(), clock.monotonic_s())


def test_a_long_interval_ends_when_it_is_to() -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock)
    advance = clock.advance

    def stop_later(seconds: float) -> None:
        advance(seconds)
        if clock.monotonic_s() > 5:
            heartbeat.stop()

    clock.advance = stop_later  # type: ignore[method-assign]
    assert list(Config(type="interval", every_ms=60_000).open(clock).calls(heartbeat)) == []
    assert heartbeat.silent_s < 1
