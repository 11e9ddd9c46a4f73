"""A trigger that a program fires, as `POST /trigger` does: the PLC's gateway, a robot, a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from pipeline.daemon.runtime.bounded_queue import BoundedQueue
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Answer
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import printable

WAITING = 1000  # calls are small; where so many wait, no caller expects an answer any more

log = logging.getLogger(__name__)


class Config(TriggerConfig):
    """Settings of a software trigger."""

    type: Literal["software"] = Field(description="software")

    def open(self, clock: Clock) -> Software:
        """Be ready for `fire`."""
        return Software(clock)


class Software(Trigger):
    """An opened software trigger; the web service fires it."""

    kept_on_reload = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: BoundedQueue[Call] = BoundedQueue("trigger software", WAITING)

    def fire(self, serial: str = "", answer: Answer | None = None) -> None:
        """Trigger now and return at once; may be called from any thread.

        Args:
            serial: of the part, "" where it is unknown.
            answer: called once from another thread, with the closed record, or with None when the
                ledger cannot be written.

        Raises:
            Refused: too many wait, or the station is shutting down. There is no record of it.
        """
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        self._queue.put(Call(now, now_s, printable(serial), answer))

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        """Yield what was fired, in that order."""
        while not heartbeat.stopping:
            if (call := self._queue.take(heartbeat)) is not None:
                yield call

    def left(self) -> Iterator[Call]:
        """Calls without a waiting caller; the others are notified that there is no record."""
        for call in self._queue.close():
            if call.answer is None:
                yield call
            else:
                call.answer(None)

    def close(self) -> None:
        if lost := len(self._queue.close()):
            log.warning("trigger software: %d calls came too late to be recorded", lost)
