"""What waits for the network, and who is turned away when too much comes."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest

from pipeline.daemon.inspection.work_queue import Arrival, WorkQueue
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Overload
from pipeline.daemon.sources import Frame
from tests.daemon.conftest import picture

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def arrival(name: str, camera: str = "top", *, live: bool = True) -> Arrival:
    frame = Frame(AT, 0.0, name, picture(200))
    return Arrival(name, camera, AT, 0.0, name, frame, live)


@pytest.fixture
def heartbeat() -> Heartbeat:
    return Heartbeat(Clock())


def drained(work_queue: WorkQueue) -> list[str]:
    return [a.record for a in work_queue.clear()]


def test_a_queue_turns_the_newest_away_when_it_is_full(heartbeat: Heartbeat) -> None:
    work_queue = WorkQueue(Overload(policy="queue", waiting=2))
    refusals = [work_queue.offer(arrival(name), heartbeat) for name in ("a", "b", "c")]
    assert refusals[:2] == [None, None]
    assert refusals[2] is not None
    assert refusals[2].arrival.record == "c"
    assert refusals[2].reason == "overload: 2 frames were waiting (limit 2)"
    assert drained(work_queue) == ["a", "b"]


def test_latest_turns_the_older_frame_of_the_same_camera_away(heartbeat: Heartbeat) -> None:
    work_queue = WorkQueue(Overload(policy="latest"))
    assert work_queue.offer(arrival("a", "top"), heartbeat) is None
    assert work_queue.offer(arrival("b", "side"), heartbeat) is None
    turned = work_queue.offer(arrival("c", "top"), heartbeat)
    assert turned is not None
    assert (turned.arrival.record, turned.reason) == ("a", "overload: a later frame took its place")
    assert drained(work_queue) == ["b", "c"]


def test_reject_lets_nothing_wait_while_a_part_is_inspected(heartbeat: Heartbeat) -> None:
    work_queue = WorkQueue(Overload(policy="reject"))
    assert work_queue.offer(arrival("a"), heartbeat) is None
    taken = work_queue.take(0)
    assert taken is not None
    turned = work_queue.offer(arrival("b"), heartbeat)
    assert turned is not None
    assert turned.reason == "overload: another part was being inspected"
    work_queue.done()
    assert work_queue.offer(arrival("c"), heartbeat) is None


def test_a_queue_turns_the_newest_away_when_those_before_it_take_too_much_memory(
    heartbeat: Heartbeat,
) -> None:
    work_queue = WorkQueue(Overload(policy="queue", waiting=9, waiting_mb=1))
    large = replace(arrival("a"), frame=Frame(AT, 0.0, "a", None, data=bytes(600_000)))
    refusals = [
        work_queue.offer(replace(large, record=name), heartbeat) for name in ("a", "b", "c")
    ]
    assert refusals[:2] == [None, None]
    assert refusals[2] is not None
    assert refusals[2].reason == "overload: 1 MB of frames were waiting (limit 1)"


def test_what_can_wait_waits_until_there_is_room(heartbeat: Heartbeat) -> None:
    work_queue = WorkQueue(Overload(policy="queue", waiting=1))
    assert work_queue.offer(arrival("a", live=False), heartbeat) is None
    refusals: list[object] = []
    waiting = threading.Thread(
        target=lambda: refusals.append(work_queue.offer(arrival("b", live=False), heartbeat))
    )
    waiting.start()
    first = work_queue.take(5)
    waiting.join(5)
    assert first is not None
    assert (first.record, refusals) == ("a", [None])
    assert drained(work_queue) == ["b"]


@pytest.mark.parametrize("policy", ["queue", "latest", "reject"])
def test_what_can_wait_and_has_its_record_is_let_in_when_the_station_stops(
    policy: Literal["queue", "latest", "reject"], heartbeat: Heartbeat
) -> None:
    work_queue = WorkQueue(Overload(policy=policy, waiting=1))
    work_queue.offer(arrival("a", live=False), heartbeat)
    heartbeat.stop()
    assert work_queue.offer(arrival("b", live=False), heartbeat) is None
    assert drained(work_queue) == ["a", "b"]


def test_it_is_idle_only_when_the_part_at_work_is_done(heartbeat: Heartbeat) -> None:
    work_queue = WorkQueue(Overload())
    assert work_queue.idle
    work_queue.offer(arrival("a"), heartbeat)
    assert not work_queue.idle
    work_queue.take(0)
    assert (work_queue.waiting, work_queue.idle) == (0, False)
    work_queue.done()
    assert work_queue.idle


def test_what_can_wait_is_not_kept_out_by_the_latest_frames_of_other_cameras(
    heartbeat: Heartbeat,
) -> None:
    work_queue = WorkQueue(Overload(policy="latest"))
    work_queue.offer(arrival("live", "top"), heartbeat)
    assert not work_queue.full("folder")
    assert work_queue.offer(arrival("file", "folder", live=False), heartbeat) is None
    assert work_queue.full("folder")
    assert drained(work_queue) == ["live", "file"]


class Heard(Heartbeat):
    """Notes its first beat."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.has_beaten = threading.Event()

    def beat(self, busy_s: float = 0.0) -> None:
        super().beat(busy_s)
        self.has_beaten.set()


def test_what_can_wait_is_let_in_as_soon_as_another_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.daemon.inspection.work_queue.BEAT_EVERY_S", 600)
    work_queue = WorkQueue(Overload(policy="queue", waiting=1))
    heartbeat = Heard()
    work_queue.offer(arrival("a", live=False), heartbeat)
    waiting = threading.Thread(
        target=work_queue.offer, args=(arrival("b", live=False), heartbeat), daemon=True
    )
    waiting.start()
    assert heartbeat.has_beaten.wait(20)  # with the queue locked until it waits
    work_queue.take(0)  # and its inspection goes on for long
    waiting.join(20)
    assert drained(work_queue) == ["b"]


def test_nothing_comes_within_the_time_given() -> None:
    assert WorkQueue(Overload()).take(0.01) is None
