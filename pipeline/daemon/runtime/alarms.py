"""Conditions that are wrong now, by kind: logged once when raised and once when cleared."""

from __future__ import annotations

import logging
import threading

from pipeline.daemon.runtime.clock import Clock

CALM_S = 10.0  # what is raised again within this time is the same alarm, and not logged again


class Alarms:
    """The alarms of one worker. Thread-safe."""

    def __init__(self, clock: Clock, log: logging.Logger) -> None:
        self._clock = clock
        self._log = log
        self._present: dict[str, tuple[str, float]] = {}  # text and time of the last raise, by kind
        self._lock = threading.Lock()

    @property
    def text(self) -> str:
        """All alarms that are raised, in words; "" for none."""
        with self._lock:
            return "; ".join(text for text, _ in self._present.values())

    def raise_(self, kind: str, text: str) -> None:
        """Raise an alarm, or update the text and time of one that is raised already."""
        with self._lock:
            new = kind not in self._present
            self._present[kind] = text, self._clock.monotonic_s()
        if new:
            self._log.warning("%s", text)

    def clear(self, kind: str) -> None:
        """Clear an alarm; it takes effect once the alarm was not raised for `CALM_S`."""
        if kind not in self._present:
            return
        with self._lock:
            text, last_s = self._present.get(kind, ("", 0.0))
            over = text and self._clock.monotonic_s() - last_s >= CALM_S
            if over:
                del self._present[kind]
        if over:
            self._log.warning("over: %s", text)
