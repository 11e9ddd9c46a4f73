"""What others hand to a worker of ours: bounded, and taken while the heartbeat beats."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import Generic, TypeVar

from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.errors import LinesideError

T = TypeVar("T")


class Refused(LinesideError):
    """There is no room, or nobody takes any more: whoever handed it over has to be told."""


class BoundedQueue(Generic[T]):
    """A queue between a thread that is not ours (HTTP, MQTT) and the worker that takes.

    What waits while a worker is replaced is taken by the next one.
    """

    def __init__(self, name: str, holds: int) -> None:
        """Make it empty.

        Args:
            name: of it, in messages.
            holds: how many may wait.
        """
        self._name = name
        self._items: queue.Queue[T] = queue.Queue(holds)
        self._closed = threading.Event()

    def put(self, item: T) -> None:
        """Hand over and return at once; may be called from any thread.

        Raises:
            Refused: as many as it holds wait already, or the station is shutting down.
        """
        if self._closed.is_set():
            raise Refused(f"{self._name}: the station is shutting down")
        try:
            self._items.put_nowait(item)
        except queue.Full:
            raise Refused(
                f"{self._name}: {self._items.maxsize} wait already; the station is too slow, or "
                "stands still: see /readyz"
            ) from None

    def take(self, heartbeat: Heartbeat) -> T | None:
        """The oldest, waiting for it a quarter of a second at most; None when none came."""
        heartbeat.beat()
        try:
            return self._items.get(timeout=BEAT_EVERY_S)
        except queue.Empty:
            return None

    def close(self) -> list[T]:
        """Let no more in; returns what was never taken."""
        self._closed.set()
        left: list[T] = []
        with suppress(queue.Empty):
            while True:
                left.append(self._items.get_nowait())
        return left
