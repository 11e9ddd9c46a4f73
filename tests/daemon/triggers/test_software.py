"""A trigger that a program fires."""

from __future__ import annotations

from itertools import islice

import pytest

from pipeline.contracts.records import Record
from pipeline.daemon.runtime.bounded_queue import Refused
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.triggers import software
from pipeline.daemon.triggers.software import Config
from pipeline.testing import FakeClock


def test_each_firing_is_a_call_in_order_with_its_own_time() -> None:
    clock = FakeClock()
    trigger = Config(type="software").open(clock)
    for serial in ("A-1", "A-2"):
        clock.advance(1)
        trigger.fire(serial)
    calls = list(islice(trigger.calls(Heartbeat(clock)), 2))
    assert [(c.serial, c.at_s) for c in calls] == [("A-1", 1.0), ("A-2", 2.0)]


def test_who_fires_can_have_the_verdict() -> None:
    def answer(record: Record | None) -> None: ...

    trigger = Config(type="software").open(FakeClock())
    trigger.fire("A-1", answer)
    assert next(trigger.calls(Heartbeat(Clock()))).answer is answer


def test_too_many_calls_are_refused_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "WAITING", 2)
    trigger = Config(type="software").open(FakeClock())
    trigger.fire("A-1")
    trigger.fire("A-2")
    with pytest.raises(Refused, match="trigger software: 2 wait already"):
        trigger.fire("A-3")
    calls = islice(trigger.calls(Heartbeat(Clock())), 2)
    assert [c.serial for c in calls] == ["A-1", "A-2"]


def test_a_replaced_worker_leaves_what_waits_to_the_next() -> None:
    trigger = Config(type="software").open(FakeClock())
    former = Heartbeat(Clock())
    former.stop()
    trigger.fire("A-1")
    assert list(trigger.calls(former)) == []
    assert next(trigger.calls(Heartbeat(Clock()))).serial == "A-1"


def test_calls_that_nobody_waits_for_are_left_at_the_end_and_those_who_wait_get_an_answer() -> None:
    trigger = Config(type="software").open(FakeClock())
    told: list[object] = []
    trigger.fire("A-1")
    trigger.fire("A-2", told.append)
    assert [call.serial for call in trigger.left()] == ["A-1"]
    assert told == [None]


def test_after_the_end_firing_is_refused() -> None:
    trigger = Config(type="software").open(FakeClock())
    trigger.close()
    with pytest.raises(Refused, match="shutting down"):
        trigger.fire("A-1")
