"""Pictures that a client sends (`POST /inspect`), each with a callback for its verdict."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from pipeline.daemon.runtime.bounded_queue import BoundedQueue
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Answer, Frame, Source, SourceConfig
from pipeline.errors import printable

log = logging.getLogger(__name__)


class Config(SourceConfig):
    """Settings of a source to which clients send pictures."""

    type: Literal["push"] = Field(description="push")
    waiting: int = Field(
        16,
        ge=1,
        le=1000,
        description="Pictures that may wait here before the station has opened their records; "
        "further ones are refused at once (HTTP 503). How many may wait for inspection is set "
        "under `overload`.",
    )

    def open(self, clock: Clock) -> Push:
        """Ready for `submit`."""
        return Push(self, clock)


class Push(Source):
    """Takes pictures from the web service."""

    kept_on_reload = False

    def __init__(self, config: Config, clock: Clock) -> None:
        self._clock = clock
        self._queue: BoundedQueue[Frame] = BoundedQueue("source push", config.waiting)

    def submit(
        self, data: bytes, ending: str = ".png", serial: str = "", answer: Answer | None = None
    ) -> None:
        """Hand over a picture and return at once; may be called from any thread.

        Args:
            data: the file as it was sent; it is decoded after its record was opened, so a damaged
                one has its record, too.
            ending: of the file's name, with the dot.
            serial: of the part, "" where the sender gives none.
            answer: called once from another thread, with the closed record, or with None when the
                ledger cannot be written.

        Raises:
            Refused: too many wait, or the station is shutting down. There is no record of it.
        """
        at, captured_s = self._clock.now(), self._clock.monotonic_s()
        self._queue.put(
            Frame(at, captured_s, printable(serial), None, "", data, ending.lower(), answer)
        )

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Yield the submitted pictures in order."""
        self.connected = True
        while not heartbeat.stopping:
            if (frame := self._queue.take(heartbeat)) is not None:
                yield frame

    def close(self) -> None:
        if lost := len(self._queue.close()):
            log.warning("source push: %d pictures came too late to be recorded", lost)
