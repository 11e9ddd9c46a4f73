"""A bounded queue never blocks the thread that puts, and says what to do when it is full."""

from __future__ import annotations

import pytest

from pipeline.daemon.runtime.bounded_queue import BoundedQueue, Refused
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.testing import FakeClock


def test_items_are_taken_in_the_order_in_which_they_were_put() -> None:
    queue: BoundedQueue[int] = BoundedQueue("trigger software", 3)
    for n in range(3):
        queue.put(n)
    assert [queue.take(Heartbeat(Clock())) for _ in range(3)] == [0, 1, 2]


def test_taking_from_an_empty_queue_beats_and_returns_nothing() -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock)
    clock.advance(9)
    assert BoundedQueue[int]("trigger software", 3).take(heartbeat) is None
    assert heartbeat.silent_s == 0


def test_a_full_queue_refuses_and_names_itself_and_its_limit() -> None:
    queue: BoundedQueue[str] = BoundedQueue("source push", 1)
    queue.put("first")
    with pytest.raises(Refused, match=r"source push: 1 wait already; .* see /readyz"):
        queue.put("second")


def test_a_closed_queue_refuses_and_hands_back_what_was_never_taken() -> None:
    queue: BoundedQueue[str] = BoundedQueue("source push", 2)
    queue.put("first")
    queue.put("second")
    assert queue.close() == ["first", "second"]
    with pytest.raises(Refused, match="source push: the station is shutting down"):
        queue.put("third")
