"""A clock that somebody sets is an event; one that runs is none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.daemon.runtime.clock_watch import CLOCK_STEP, ClockWatch
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.testing import FakeClock

Events = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("by", "words"),
    [(timedelta(days=2000), "set forward by 2000 days"), (timedelta(hours=-1), "set back by 1:00")],
)
def test_a_step_is_an_event_with_its_size(by: timedelta, words: str) -> None:
    clock, events = FakeClock(), Events()
    watch = ClockWatch(clock, lambda kind, detail: events.append((kind, detail)))
    clock.advance(1)
    clock.set(clock.now() + by)
    watch.look()
    ((kind, detail),) = events
    assert kind == CLOCK_STEP
    assert detail.startswith(words)


def test_a_step_is_noted_once() -> None:
    clock, events = FakeClock(), Events()
    watch = ClockWatch(clock, lambda kind, detail: events.append((kind, detail)))
    clock.set(clock.now() + timedelta(days=1))
    for _ in range(3):
        watch.look()
        clock.advance(1)
    assert len(events) == 1


def test_a_day_without_a_step_notes_nothing() -> None:
    clock, events = FakeClock(), Events()
    heartbeat = Heartbeat(clock)

    class Day(ClockWatch):
        looks = 0

        def look(self) -> None:
            super().look()
            self.looks += 1
            if self.looks == 86_400:
                heartbeat.stop()

    watch = Day(clock, lambda kind, detail: events.append((kind, detail)))
    watch.run(heartbeat)
    assert events == []
