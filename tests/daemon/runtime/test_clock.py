"""The machine's clock: UTC, never backwards, and a wait that ends early when asked to."""

from __future__ import annotations

import threading
from datetime import UTC

from pipeline.daemon.runtime.clock import Clock


def test_time_of_day_is_in_utc() -> None:
    assert Clock().now().tzinfo is UTC


def test_monotonic_time_never_goes_backwards() -> None:
    clock = Clock()
    times = [clock.monotonic_s() for _ in range(1000)]
    assert times == sorted(times)


def test_a_wait_ends_as_soon_as_the_event_is_set() -> None:
    clock, stop = Clock(), threading.Event()
    stop.set()
    before_s = clock.monotonic_s()
    clock.wait(stop, 600)
    assert clock.monotonic_s() - before_s < 60


def test_a_wait_without_the_event_lasts_as_long_as_it_was_asked_to() -> None:
    clock = Clock()
    before_s = clock.monotonic_s()
    clock.wait(threading.Event(), 0.01)
    assert clock.monotonic_s() - before_s >= 0.009
