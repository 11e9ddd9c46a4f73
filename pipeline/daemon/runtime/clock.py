"""Time, passed in rather than asked for, so that tests need not wait."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's time."""

    def now(self) -> datetime:
        """Time of day in UTC; it may jump when somebody sets it."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that only ever grow: for durations."""
        return time.perf_counter()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Sleep until `stop` is set or the time is over."""
        stop.wait(seconds)


class FakeClock(Clock):
    """Stands still but for waiting, which takes no time."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic_s = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds
