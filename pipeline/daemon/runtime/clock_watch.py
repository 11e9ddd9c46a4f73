"""Notices that somebody has set the machine's clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.ledger.elapsed import step

EVERY_S = 1.0
CLOCK_STEP = "clock step"

log = logging.getLogger(__name__)


class ClockWatch:
    """A worker that compares the time of day with the time since the machine was switched on.

    Durations and ages are not taken from the time of day; only what people read is, such as the
    time of a record. So a step is noted among the events, for who reads them.
    """

    name = "clock"
    idle = True
    status = None

    def __init__(self, clock: Clock, on_event: Callable[[str, str], None]) -> None:
        """Start from the present time.

        Args:
            clock: of the station.
            on_event: called with the kind and the detail of a step.
        """
        self._clock = clock
        self._on_event = on_event
        self._seen, self._seen_s = clock.now(), clock.boot_s()

    def run(self, heartbeat: Heartbeat) -> None:
        """Look every second until asked to stop."""
        while not heartbeat.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Compare with the last look."""
        now, now_s = self._clock.now(), self._clock.boot_s()
        if found := step(self._seen + timedelta(seconds=now_s - self._seen_s), now):
            log.warning("the clock was %s", found)
            self._on_event(CLOCK_STEP, found)
        self._seen, self._seen_s = now, now_s
