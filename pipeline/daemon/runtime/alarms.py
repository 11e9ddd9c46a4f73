"""What is wrong at the moment, by kind: told at once, logged when it begins and when it is over."""

from __future__ import annotations

import logging
import threading

from pipeline.daemon.runtime.clock import Clock

CALM_S = 10.0  # what comes and goes within this time is one alarm, and two lines in the log


class Alarms:
    """The alarms of one worker; for any thread."""

    def __init__(self, clock: Clock, log: logging.Logger) -> None:
        self._clock = clock
        self._log = log
        self._present: dict[str, tuple[str, float]] = {}  # text and last time, by kind
        self._lock = threading.Lock()

    @property
    def text(self) -> str:
        """All of them in words, "" for none."""
        with self._lock:
            return "; ".join(text for text, _ in self._present.values())

    def raise_(self, kind: str, text: str) -> None:
        """Say that something is wrong, at the first time or again."""
        with self._lock:
            new = kind not in self._present
            self._present[kind] = text, self._clock.monotonic_s()
        if new:
            self._log.warning("%s", text)

    def clear(self, kind: str) -> None:
        """Say that this is well; believed once it was not wrong for `CALM_S`."""
        if kind not in self._present:
            return
        with self._lock:
            text, last_s = self._present.get(kind, ("", 0.0))
            over = text and self._clock.monotonic_s() - last_s >= CALM_S
            if over:
                del self._present[kind]
        if over:
            self._log.warning("over: %s", text)
