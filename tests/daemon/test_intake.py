"""What waits for the network, and who is turned away when too much comes."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest

from pipeline.daemon.clock import Clock
from pipeline.daemon.intake import Arrival, Intake
from pipeline.daemon.line import Overload
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.sources import Frame
from tests.daemon.conftest import picture
from tests.daemon.waiting import until

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def arrival(name: str, camera: str = "top", *, live: bool = True) -> Arrival:
    frame = Frame(AT, 0.0, name, picture(200))
    return Arrival(name, camera, AT, 0.0, name, frame, live)


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(Clock())


def drained(intake: Intake) -> list[str]:
    return [a.record for a in intake.clear()]


def test_a_queue_turns_the_newest_away_when_it_is_full(pulse: Pulse) -> None:
    intake = Intake(Overload(policy="queue", waiting=2))
    told = [intake.offer(arrival(name), pulse) for name in ("a", "b", "c")]
    assert told[:2] == [None, None]
    assert told[2] is not None
    assert told[2].arrival.record == "c"
    assert told[2].reason == "overload: 2 frames were waiting (limit 2)"
    assert drained(intake) == ["a", "b"]


def test_latest_turns_the_older_frame_of_the_same_camera_away(pulse: Pulse) -> None:
    intake = Intake(Overload(policy="latest"))
    assert intake.offer(arrival("a", "top"), pulse) is None
    assert intake.offer(arrival("b", "side"), pulse) is None
    turned = intake.offer(arrival("c", "top"), pulse)
    assert turned is not None
    assert (turned.arrival.record, turned.reason) == ("a", "overload: a later frame took its place")
    assert drained(intake) == ["b", "c"]


def test_reject_lets_nothing_wait_while_a_part_is_inspected(pulse: Pulse) -> None:
    intake = Intake(Overload(policy="reject"))
    assert intake.offer(arrival("a"), pulse) is None
    taken = intake.take(0)
    assert taken is not None
    turned = intake.offer(arrival("b"), pulse)
    assert turned is not None
    assert turned.reason == "overload: another part was being inspected"
    intake.done()
    assert intake.offer(arrival("c"), pulse) is None


def test_a_queue_turns_the_newest_away_when_those_before_it_take_too_much_memory(
    pulse: Pulse,
) -> None:
    intake = Intake(Overload(policy="queue", waiting=9, waiting_mb=1))
    large = replace(arrival("a"), frame=Frame(AT, 0.0, "a", None, data=bytes(600_000)))
    told = [intake.offer(replace(large, record=name), pulse) for name in ("a", "b", "c")]
    assert told[:2] == [None, None]
    assert told[2] is not None
    assert told[2].reason == "overload: 1 MB of frames were waiting (limit 1)"


def test_what_can_wait_waits_until_there_is_room(pulse: Pulse) -> None:
    intake = Intake(Overload(policy="queue", waiting=1))
    assert intake.offer(arrival("a", live=False), pulse) is None
    told: list[object] = []
    waiting = threading.Thread(
        target=lambda: told.append(intake.offer(arrival("b", live=False), pulse))
    )
    waiting.start()
    first = intake.take(5)
    waiting.join(5)
    assert first is not None
    assert (first.record, told) == ("a", [None])
    assert drained(intake) == ["b"]


@pytest.mark.parametrize("policy", ["queue", "latest", "reject"])
def test_what_can_wait_and_has_its_record_is_let_in_when_the_station_stops(
    policy: Literal["queue", "latest", "reject"], pulse: Pulse
) -> None:
    intake = Intake(Overload(policy=policy, waiting=1))
    intake.offer(arrival("a", live=False), pulse)
    pulse.stop()
    assert intake.offer(arrival("b", live=False), pulse) is None
    assert drained(intake) == ["a", "b"]


def test_it_is_idle_only_when_the_part_at_work_is_done(pulse: Pulse) -> None:
    intake = Intake(Overload())
    assert intake.idle
    intake.offer(arrival("a"), pulse)
    assert not intake.idle
    intake.take(0)
    assert (intake.waiting, intake.idle) == (0, False)
    intake.done()
    assert intake.idle


def test_what_can_wait_is_not_kept_out_by_the_latest_frames_of_other_cameras(pulse: Pulse) -> None:
    intake = Intake(Overload(policy="latest"))
    intake.offer(arrival("live", "top"), pulse)
    assert not intake.full("folder")
    assert intake.offer(arrival("file", "folder", live=False), pulse) is None
    assert intake.full("folder")
    assert drained(intake) == ["live", "file"]


def test_what_can_wait_is_let_in_as_soon_as_another_is_taken(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.daemon.intake.BEAT_EVERY_S", 600)
    intake = Intake(Overload(policy="queue", waiting=1))
    intake.offer(arrival("a", live=False), pulse)
    waiting = threading.Thread(
        target=intake.offer, args=(arrival("b", live=False), pulse), daemon=True
    )
    waiting.start()
    until(lambda: bool(intake._changed._waiters))  # type: ignore[attr-defined]
    intake.take(0)  # and its inspection goes on for long
    waiting.join(20)
    assert drained(intake) == ["b"]


def test_nothing_comes_within_the_time_given() -> None:
    assert Intake(Overload()).take(0.01) is None
