"""A worker's sign of life, and the order to end that it listens for."""

from __future__ import annotations

import threading

from pipeline.daemon.runtime.clock import Clock

BEAT_EVERY_S = 0.25


class Heartbeat:
    """Passed to whatever runs in a thread of its own: a source, a trigger, the inspection, a sink.

    The worker calls `beat` at least every second, whatever it waits for; who does not is taken for
    hung, is told to end (`stopping`), left behind and replaced. A worker that comes back to life
    after that finds `stopping` set and returns.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._stop = threading.Event()
        self._last_s = clock.monotonic_s()

    @property
    def stopping(self) -> bool:
        """Is the worker to return as soon as it can?"""
        return self._stop.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return self.clock.monotonic_s() - self._last_s

    def beat(self, busy_s: float = 0.0) -> None:
        """Say that the worker is alive, and may now be silent for `busy_s` with good reason."""
        self._last_s = self.clock.monotonic_s() + busy_s

    def stop(self) -> None:
        """Ask the worker to return."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, beating, until the time is over or the worker is to end; returns `stopping`."""
        until_s = self.clock.monotonic_s() + seconds
        while not self.stopping:
            self.beat()
            left_s = until_s - self.clock.monotonic_s()
            if left_s <= 0:
                break
            self.clock.wait(self._stop, min(left_s, BEAT_EVERY_S))
        return self.stopping
