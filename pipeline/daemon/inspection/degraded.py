"""Logs when a station becomes degraded, and when that is over."""

from __future__ import annotations

import logging

from pipeline.daemon.inspection.counters import Counters
from pipeline.daemon.runtime.heartbeat import Heartbeat

EVERY_S = 1.0

log = logging.getLogger(__name__)


class DegradedWatch:
    """A worker that watches the share of parts that were not inspected."""

    name = "degraded"
    idle = True
    status = None

    def __init__(self, counters: Counters, share: float) -> None:
        """Start from a station that is not degraded.

        Args:
            counters: of the station.
            share: of the last parts that may be NOT_INSPECTED, 0 to 1.
        """
        self._counters = counters
        self._share = share
        self._degraded = False

    def run(self, heartbeat: Heartbeat) -> None:
        """Look every second until asked to stop."""
        while not heartbeat.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Log a change."""
        found = self._counters.degraded(self._share)
        if bool(found) != self._degraded:
            log.warning("%s", f"degraded: {found}" if found else "no longer degraded")
        self._degraded = bool(found)
