"""Injectable clock, so that tests need not wait (`pipeline.testing.FakeClock`)."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from pipeline.ledger.elapsed import BootClock


class Clock(BootClock):
    """The machine's time."""

    def now(self) -> datetime:
        """Time of day in UTC; it may jump when the clock is set."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that never go back: for durations."""
        return time.perf_counter()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Sleep until `stop` is set or the time is over."""
        stop.wait(seconds)
