"""Liveness of a worker thread, and the request to stop."""

from __future__ import annotations

import threading

from pipeline.daemon.runtime.clock import Clock

BEAT_EVERY_S = 0.25


class Heartbeat:
    """Passed to everything that runs in a thread of its own: source, trigger, inspection, sink.

    The worker calls `beat` at least every second, whatever it waits for. One that does not counts
    as hung: `stopping` is set, its thread is abandoned and the worker is replaced. An abandoned
    thread that wakes up later finds `stopping` set and returns.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._stop = threading.Event()
        self._last_s = clock.monotonic_s()

    @property
    def stopping(self) -> bool:
        """Should the worker return as soon as it can?"""
        return self._stop.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return self.clock.monotonic_s() - self._last_s

    def beat(self, busy_s: float = 0.0) -> None:
        """Report that the worker is alive, and allow it to be silent for the next `busy_s`."""
        self._last_s = self.clock.monotonic_s() + busy_s

    def stop(self) -> None:
        """Ask the worker to return."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Sleep while beating, until the time is over or `stop` was called; returns `stopping`."""
        until_s = self.clock.monotonic_s() + seconds
        while not self.stopping:
            self.beat()
            left_s = until_s - self.clock.monotonic_s()
            if left_s <= 0:
                break
            self.clock.wait(self._stop, min(left_s, BEAT_EVERY_S))
        return self.stopping
