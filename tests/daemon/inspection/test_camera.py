"""Frames and triggers to arrivals: connecting for ever, the latest frame, never a stale one."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pipeline.contracts.records import Record, Verdict
from pipeline.contracts.spec import RawPixels
from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import WorkQueue
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import CameraSettings, Overload
from pipeline.daemon.sources import Frame, Source, SourceConfig
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import LedgerError, SourceLost
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock
from tests.daemon.conftest import picture

RULES = TriggerConfig(type="software", max_age_ms=200, wait_ms=0)


Script = Callable[[Heartbeat], Iterator[Frame]]


class Scripted(Source):
    """Plays one script each time it is connected; the last one for ever."""

    def __init__(self, *scripts: Script) -> None:
        self.connects = 0
        self._scripts = scripts

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        script = self._scripts[min(self.connects, len(self._scripts) - 1)]
        self.connects += 1
        return script(heartbeat)


class Calls(Trigger):
    """Makes the calls it was given."""

    def __init__(self, *calls: Call) -> None:
        self._calls = calls

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        yield from self._calls

    def left(self) -> Iterable[Call]:
        return self._calls


def frames(clock: Clock, *serials: str) -> Script:
    def play(heartbeat: Heartbeat) -> Iterator[Frame]:
        for serial in serials:
            yield Frame(clock.now(), clock.monotonic_s(), serial, picture(200))

    return play


def lost(why: str) -> Script:
    def play(heartbeat: Heartbeat) -> Iterator[Frame]:
        raise SourceLost(why)
        yield  # a generator, as every source's is

    return play


def camera(
    clock: Clock,
    ledger: Ledger,
    source: Source,
    trigger: Trigger | None = None,
    events: list[str] | None = None,
    rules: TriggerConfig = RULES,
    overload: Overload | None = None,
    raw: RawPixels | None = None,
) -> tuple[Camera, WorkQueue, Recorder]:
    recorder, work_queue = Recorder(ledger, clock), WorkQueue(overload or Overload())
    settings = CameraSettings.model_construct(
        name="top", source=SourceConfig(type="scripted", raw=raw), trigger=rules
    )
    note = (lambda kind, detail: events.append(f"{kind}: {detail}")) if events is not None else None
    made = Camera(
        settings, source, trigger, recorder, work_queue, clock, note or (lambda k, d: None)
    )
    return made, work_queue, recorder


def test_each_frame_of_a_camera_without_a_trigger_is_one(clock: FakeClock, ledger: Ledger) -> None:
    top, work_queue, _ = camera(clock, ledger, Scripted(frames(clock, "a", "b")))
    top.read(Heartbeat(clock))
    assert [(a.camera, a.serial) for a in work_queue.clear()] == [("top", "a"), ("top", "b")]
    assert ledger.account().triggers == 2
    assert top.ended


def test_files_of_twelve_bits_are_scaled_by_the_settings_of_their_source(
    clock: FakeClock, ledger: Ledger
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)).save(buffer, "PNG")

    def play(heartbeat: Heartbeat) -> Iterator[Frame]:
        yield Frame(clock.now(), clock.monotonic_s(), "a", None, data=buffer.getvalue())

    seen = []
    for raw in (RawPixels(bit_depth=12), None):
        top, work_queue, _ = camera(clock, ledger, Scripted(play), raw=raw)
        top.read(Heartbeat(clock))
        (arrival,) = work_queue.clear()
        assert arrival.frame is not None
        seen.append(arrival.frame)
    assert seen[0].pixels is not None
    assert seen[0].pixels[0, :, 0].tolist() == [0, 128, 255]
    assert "set `raw` (bit_depth, black, white)" in seen[1].fault


def test_a_source_that_can_wait_does_while_the_ledger_cannot_be_written(
    clock: FakeClock, ledger: Ledger
) -> None:
    class Waiting(Scripted):
        live = False

    top, work_queue, recorder = camera(clock, ledger, Waiting(frames(clock, "a", "b")))
    recorder.alarm = "database or disk is full"
    pauses: list[float] = []

    class Patient(Heartbeat):
        def wait(self, seconds: float) -> bool:
            pauses.append(seconds)
            recorder.alarm = ""
            return False

    top.read(Patient(clock))
    assert len(pauses) == 1
    assert [a.serial for a in work_queue.clear()] == ["a", "b"]


def test_a_lost_source_is_connected_again_for_ever(clock: FakeClock, ledger: Ledger) -> None:
    events: list[str] = []
    scripts = [lost("no route"), lost("no route"), lost("no answer"), frames(clock, "a")]
    top, work_queue, _ = camera(clock, ledger, Scripted(*scripts), events=events)
    top.read(Heartbeat(clock))
    assert work_queue.waiting == 1
    assert top.status.reconnects == 3
    assert events == [
        "camera lost: top: no route",
        "camera lost: top: no answer",
        "camera connected: top",
    ]


def test_a_camera_that_is_away_gives_the_reason(clock: FakeClock, ledger: Ledger) -> None:
    top, _, _ = camera(clock, ledger, Scripted(frames(clock, "a")))
    assert (top.status.connected, top.status.alarm) == (False, "not connected yet")
    top.read(Heartbeat(clock))
    assert (top.status.connected, top.status.alarm) == (True, "")
    top.lost("the cable is out")
    assert (top.status.connected, top.status.alarm) == (False, "the cable is out")


def test_pauses_between_attempts_stay_short_enough_for_the_next_part(
    clock: FakeClock, ledger: Ledger
) -> None:
    times: list[float] = []

    def away(heartbeat: Heartbeat) -> Iterator[Frame]:
        times.append(clock.monotonic_s())
        if len(times) == 20:
            heartbeat.stop()
        raise SourceLost("no route")
        yield

    top, _, _ = camera(clock, ledger, Scripted(away))
    top.read(Heartbeat(clock))
    assert max(b - a for a, b in pairwise(times)) <= 1.01


def test_a_trigger_gets_the_latest_frame(clock: FakeClock, ledger: Ledger) -> None:
    call = Call(clock.now(), clock.monotonic_s(), "part-7")
    top, work_queue, _ = camera(clock, ledger, Scripted(frames(clock, "a", "b")), Calls(call))
    top.read(Heartbeat(clock))
    top.call(Heartbeat(clock))
    (arrival,) = work_queue.clear()
    assert arrival.frame is not None
    assert (arrival.serial, arrival.frame.serial) == ("part-7", "b")
    assert ledger.account().triggers == 1


def test_a_trigger_never_gets_a_stale_frame(clock: FakeClock, ledger: Ledger) -> None:
    answers: list[Record | None] = []
    call = Call(clock.now(), 0.3, "part-7", answers.append)
    top, work_queue, _ = camera(clock, ledger, Scripted(frames(clock, "a")), Calls(call))
    top.read(Heartbeat(clock))
    clock.advance(0.3)
    top.call(Heartbeat(clock))
    assert work_queue.waiting == 0
    (record,) = ledger.records()
    assert record.verdict is Verdict.NOT_INSPECTED
    assert record.reason == "no frame: none came within 200 ms of the trigger"
    assert answers == [record]


def test_a_trigger_that_had_to_wait_its_turn_does_not_get_the_picture_of_the_next_part(
    clock: FakeClock, ledger: Ledger
) -> None:
    call = Call(clock.now(), clock.monotonic_s(), "part-7")
    clock.advance(1.0)
    top, work_queue, _ = camera(clock, ledger, Scripted(frames(clock, "of part-8")), Calls(call))
    top.read(Heartbeat(clock))
    top.call(Heartbeat(clock))
    assert work_queue.waiting == 0
    (record,) = ledger.records()
    assert record.reason == "no frame: none came within 200 ms of the trigger"


def test_a_part_turned_away_while_the_ledger_is_away_does_not_stop_the_camera(
    clock: FakeClock, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(record: Record) -> None:
        raise LedgerError("database is locked")

    source, overload = Scripted(frames(clock, *"abcdef")), Overload(policy="queue", waiting=1)
    top, _, recorder = camera(clock, ledger, source, overload=overload)
    monkeypatch.setattr(top.source, "live", True)
    heartbeat = Heartbeat(clock)
    monkeypatch.setattr(ledger, "close_record", locked)
    monkeypatch.setattr(heartbeat, "wait", lambda seconds: pytest.fail("the camera waits"))
    top.read(heartbeat)
    assert recorder.triggers == top.status.frames == 6


def test_a_reader_that_was_abandoned_does_not_bring_an_ended_camera_back(
    clock: FakeClock, ledger: Ledger
) -> None:
    top, _, _ = camera(clock, ledger, Scripted(frames(clock, "a")))
    top.read(Heartbeat(clock))
    behind = Heartbeat(clock)

    def wake_up(heartbeat: Heartbeat) -> Iterator[Frame]:
        heartbeat.stop()
        yield from ()

    top.source = Scripted(wake_up)
    top.read(behind)
    assert top.ended


def test_a_trigger_waits_a_little_for_a_frame(ledger: Ledger) -> None:
    clock = Clock()
    call = Call(clock.now(), clock.monotonic_s(), "part-7")
    source, patient = Scripted(frames(clock, "late")), RULES.model_copy(update={"wait_ms": 5000})
    top, work_queue, _ = camera(clock, ledger, source, Calls(call), rules=patient)
    waiting = threading.Thread(target=top.call, args=(Heartbeat(clock),))
    waiting.start()
    top.read(Heartbeat(clock))
    waiting.join(10)
    (arrival,) = work_queue.clear()
    assert arrival.frame is not None
    assert arrival.frame.serial == "late"


class CallsAhead(Calls):
    """Calls that are recorded while an earlier one waits for its frame."""

    records_ahead = 10


def test_calls_are_recorded_while_an_earlier_one_waits_for_its_frame(
    clock: FakeClock, ledger: Ledger
) -> None:
    recorded: list[int] = []

    def note() -> None:
        recorded.append(ledger.account().triggers)

    calls = [Call(clock.now(), clock.monotonic_s(), s, recorded=note) for s in ("a", "b", "c")]
    top, work_queue, recorder = camera(clock, ledger, Scripted(), CallsAhead(*calls))
    top.call(Heartbeat(clock))
    assert recorded == [1, 2, 3]
    assert [a.serial for a in recorder.left_open()] == ["a", "b", "c"]
    assert work_queue.waiting == 0


def test_calls_that_were_recorded_ahead_get_their_frames_in_order(ledger: Ledger) -> None:
    clock = Clock()
    calls = [Call(clock.now(), clock.monotonic_s(), serial) for serial in ("a", "b")]
    source = Scripted(frames(clock, "frame"))
    top, work_queue, _ = camera(clock, ledger, source, CallsAhead(*calls))
    top.read(Heartbeat(clock))
    top.call(Heartbeat(clock))
    heartbeat = Heartbeat(clock)
    answering = threading.Thread(target=top.answer, args=(heartbeat,))
    answering.start()
    arrivals: list[str] = []
    while len(arrivals) < 2 and answering.is_alive():
        arrivals += [arrival.serial for arrival in work_queue.clear()]
    heartbeat.stop()
    answering.join(10)
    assert arrivals == ["a", "b"]


def test_a_call_that_must_not_be_judged_is_recorded_with_its_reason(
    clock: FakeClock, ledger: Ledger
) -> None:
    call = Call(clock.now(), clock.monotonic_s(), "part-7", refused="late: it waited")
    top, _, _ = camera(clock, ledger, Scripted(frames(clock, "a")), CallsAhead(call))
    top.read(Heartbeat(clock))
    top.call(Heartbeat(clock))
    (record,) = ledger.records()
    assert (record.verdict, record.reason) == (Verdict.NOT_INSPECTED, "late: it waited")


def test_calls_that_are_turned_away_are_recorded_before_they_are_acknowledged(
    clock: FakeClock, ledger: Ledger
) -> None:
    recorded: list[int] = []
    call = Call(
        *(clock.now(), clock.monotonic_s(), "part-7"),
        recorded=lambda: recorded.append(len(list(ledger.records()))),
    )
    top, _, _ = camera(clock, ledger, Scripted(), CallsAhead(call))
    top.turn_away("station stopped: the part was still waiting")
    assert recorded == [1]


def test_a_trigger_while_the_camera_is_away_is_recorded_with_the_reason(
    clock: FakeClock, ledger: Ledger
) -> None:
    call = Call(clock.now(), clock.monotonic_s(), "part-7")
    top, _, _ = camera(clock, ledger, Scripted(lost("no route")), Calls(call))
    top.lost("no route")
    top.call(Heartbeat(clock))
    (record,) = ledger.records()
    assert record.reason == "no frame: the camera is away (no route)"


def test_a_trigger_that_cannot_be_heard_is_connected_again(
    clock: FakeClock, ledger: Ledger
) -> None:
    class Broken(Calls):
        heard = 0

        def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
            self.heard += 1
            if self.heard < 3:
                raise SourceLost("the broker is away")
            yield Call(clock.now(), clock.monotonic_s(), "part-1")

    events: list[str] = []
    top, _, _ = camera(clock, ledger, Scripted(frames(clock, "a")), Broken(), events)
    top.read(Heartbeat(clock))
    top.call(Heartbeat(clock))
    assert ledger.account().triggers == 1
    assert events.count("trigger lost: top: the broker is away") == 1


def test_frames_are_decoded_before_they_wait(clock: FakeClock, ledger: Ledger) -> None:
    def damaged(heartbeat: Heartbeat) -> Iterator[Frame]:
        yield Frame(clock.now(), clock.monotonic_s(), "a.png", None, data=b"nothing")

    top, work_queue, _ = camera(clock, ledger, Scripted(damaged))
    top.read(Heartbeat(clock))
    (arrival,) = work_queue.clear()
    assert arrival.frame is not None
    assert "a.png" in arrival.frame.fault


def test_a_trigger_that_found_no_room_is_recorded_and_gets_no_frame(
    clock: FakeClock, ledger: Ledger
) -> None:
    why = "overload: 100000 triggers waited already"
    call = Call(clock.now(), clock.monotonic_s(), refused=why)
    top, work_queue, _ = camera(clock, ledger, Scripted(frames(clock, "a")), Calls(call))
    top.read(Heartbeat(clock))
    top.call(Heartbeat(clock))
    assert work_queue.waiting == 0
    (record,) = ledger.records()
    assert (record.verdict, record.reason) == (Verdict.NOT_INSPECTED, why)


def test_parts_that_nobody_has_asked_the_trigger_for_are_recorded_at_the_end(
    clock: FakeClock, ledger: Ledger
) -> None:
    calls = [Call(clock.now(), clock.monotonic_s(), serial) for serial in ("A-1", "A-2")]
    top, _, recorder = camera(clock, ledger, Scripted(frames(clock)), Calls(*calls))
    top.turn_away("station stopped")
    refused_records = [(r.serial, r.camera, r.verdict, r.reason) for r in ledger.records()]
    refused = ("top", Verdict.NOT_INSPECTED, "station stopped")
    assert refused_records == [("A-1", *refused), ("A-2", *refused)]
    assert (recorder.triggers, recorder.counters.verdicts[Verdict.NOT_INSPECTED]) == (2, 2)


def test_parts_that_can_neither_be_recorded_at_the_end_are_lost_and_counted(
    clock: FakeClock, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise LedgerError("database or disk is full")

    monkeypatch.setattr(ledger, "add_refused", full)
    calls = [Call(clock.now(), clock.monotonic_s(), "A-1")]
    top, _, recorder = camera(clock, ledger, Scripted(frames(clock)), Calls(*calls))
    top.turn_away("station stopped")
    assert (recorder.lost, recorder.alarm) == (1, "database or disk is full")
