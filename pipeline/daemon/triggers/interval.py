"""A trigger every n milliseconds, as for a belt of even speed or an endless web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig


class Config(TriggerConfig):
    """Settings of an interval trigger."""

    type: Literal["interval"] = Field(description="interval")
    every_ms: float = Field(
        ge=1, le=86_400_000, description="Milliseconds from one trigger to the next."
    )

    def open(self, clock: Clock) -> Interval:
        """Nothing to open."""
        return Interval(self.every_ms / 1000, clock)


class Interval(Trigger):
    """An opened interval trigger."""

    def __init__(self, period_s: float, clock: Clock) -> None:
        self._period_s = period_s
        self._clock = clock

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        """Yield a call at each multiple of the period, counted from now, the first after one.

        Ticks do not drift. Those that pass while the caller is away are not made up for in a
        burst: there is only one part in front of the camera now.
        """
        start_s, ticks = self._clock.monotonic_s(), 0
        while True:
            passed = int((self._clock.monotonic_s() - start_s) / self._period_s)
            ticks = max(ticks, passed) + 1
            if heartbeat.wait(start_s + ticks * self._period_s - self._clock.monotonic_s()):
                return
            yield Call(self._clock.now(), self._clock.monotonic_s())
