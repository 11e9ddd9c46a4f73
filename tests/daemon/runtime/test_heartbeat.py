"""A heartbeat shows for how long a worker was silent, and passes on the request to stop."""

from __future__ import annotations

import threading

import pytest

from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_silence_grows_until_the_next_beat(clock: FakeClock) -> None:
    heartbeat = Heartbeat(clock)
    clock.advance(3)
    assert heartbeat.silent_s == 3
    heartbeat.beat()
    assert heartbeat.silent_s == 0


def test_a_worker_that_reports_to_be_busy_is_not_silent_before_that_time(clock: FakeClock) -> None:
    heartbeat = Heartbeat(clock)
    heartbeat.beat(busy_s=20)
    clock.advance(20)
    assert heartbeat.silent_s == 0
    clock.advance(5)
    assert heartbeat.silent_s == 5


def test_a_wait_beats_all_the_time_and_lasts_as_long_as_asked() -> None:
    silences: list[float] = []

    class Watching(FakeClock):
        def wait(self, stop: threading.Event, seconds: float) -> None:
            self.advance(seconds)
            silences.append(heartbeat.silent_s)

    clock = Watching()
    heartbeat = Heartbeat(clock)
    assert not heartbeat.wait(2)
    assert clock.monotonic_s() == pytest.approx(2)
    assert max(silences) <= BEAT_EVERY_S


def test_a_wait_ends_when_the_worker_is_to_stop() -> None:
    class Stopping(FakeClock):
        def wait(self, stop: threading.Event, seconds: float) -> None:
            self.advance(seconds)
            heartbeat.stop()

    clock = Stopping()
    heartbeat = Heartbeat(clock)
    assert heartbeat.wait(600)
    assert heartbeat.stopping
    assert clock.monotonic_s() == BEAT_EVERY_S
