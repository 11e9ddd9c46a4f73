"""A bounded queue into a worker: putting never blocks, taking keeps the heartbeat going."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import Generic, TypeVar

from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.errors import LinesideError

T = TypeVar("T")


class Refused(LinesideError):
    """The queue is full or closed; the caller reports it to the sender."""


class BoundedQueue(Generic[T]):
    """A queue from a foreign thread (HTTP, MQTT) to the worker that takes from it.

    Items that wait while a worker is replaced are taken by its successor.
    """

    def __init__(self, name: str, holds: int) -> None:
        """Start empty.

        Args:
            name: of the queue, in messages.
            holds: how many items may wait.
        """
        self._name = name
        self._items: queue.Queue[T] = queue.Queue(holds)
        self._closed = threading.Event()

    def put(self, item: T) -> None:
        """Append an item without blocking. Thread-safe.

        Raises:
            Refused: the queue is full, or the station is shutting down.
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
        """The oldest item, waiting up to `BEAT_EVERY_S` for one; None without one."""
        heartbeat.beat()
        try:
            return self._items.get(timeout=BEAT_EVERY_S)
        except queue.Empty:
            return None

    def close(self) -> list[T]:
        """Refuse further items; returns those that were never taken."""
        self._closed.set()
        left: list[T] = []
        with suppress(queue.Empty):
            while True:
                left.append(self._items.get_nowait())
        return left
