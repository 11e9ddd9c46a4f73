"""The station notes when its cameras can receive triggers, and when and why they cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import pytest

from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.inspection.listening import STARTING, ListeningLog
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import WorkQueue
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import CameraSettings, Overload
from pipeline.daemon.sources import Source, SourceConfig
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listening import not_listening
from pipeline.ledger.queries import period
from pipeline.testing import FakeClock, FakeSource

Span = tuple[str, str, str]


def utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


class Calls(Trigger):
    """A trigger whose connection comes and goes."""

    loss_unnoticed_s = 15.0
    resumed = "the broker kept the messages for it"

    def calls(self, heartbeat: Heartbeat) -> Iterable[Call]:  # type: ignore[override]
        return ()


@pytest.fixture
def camera(clock: FakeClock, ledger: Ledger) -> Callable[..., Camera]:
    def made(source: Source | None = None, trigger: Trigger | None = None) -> Camera:
        settings = CameraSettings(
            name="top",
            source=SourceConfig(type="push"),
            trigger=None if trigger is None else TriggerConfig(type="software"),
        )
        return Camera(
            *(settings, source or FakeSource([], clock), trigger),
            *(Recorder(ledger, clock), WorkQueue(Overload()), clock),
        )

    return made


def not_listening_in(ledger: Ledger, clock: FakeClock) -> list[Span]:
    with ledger.reading() as db:
        found = not_listening(db, period(None, None), clock.now(), running=True)
    return [(n.since, n.until, n.why) for n in found]


def test_the_start_of_a_station_is_a_time_without_triggers(
    clock: FakeClock, ledger: Ledger, camera: Callable[..., Camera]
) -> None:
    top = camera()
    log, start = ListeningLog(ledger, [top], clock), utc(clock.now())
    log.step()
    clock.advance(3)
    top.source.connected = True
    log.step()
    assert not_listening_in(ledger, clock) == [(start, utc(clock.now()), STARTING)]


def test_a_lost_camera_is_a_time_without_triggers(
    clock: FakeClock, ledger: Ledger, camera: Callable[..., Camera]
) -> None:
    top = camera()
    top.source.connected = True
    log = ListeningLog(ledger, [top], clock)
    log.step()
    clock.advance(60)
    top.source.loss_unnoticed_s = 2.0
    lost_at = clock.now()
    clock.advance(2)
    top.lost("the cable is out")
    log.step()
    assert not_listening_in(ledger, clock)[-1] == (utc(lost_at), "", "the cable is out")


def test_a_camera_that_is_away_loses_no_trigger_where_there_is_one(
    clock: FakeClock, ledger: Ledger, camera: Callable[..., Camera]
) -> None:
    top = camera(trigger=Calls())
    log = ListeningLog(ledger, [top], clock)
    top.lost("the cable is out")
    log.step()
    assert not_listening_in(ledger, clock) == []


def test_a_trigger_that_comes_back_shows_what_became_of_the_messages(
    clock: FakeClock, ledger: Ledger, camera: Callable[..., Camera]
) -> None:
    trigger = Calls()
    log = ListeningLog(ledger, [camera(trigger=trigger)], clock)
    log.step()
    clock.advance(60)
    trigger.connected = False
    log.step()
    clock.advance(5)
    trigger.connected = True
    log.step()
    ((since, until, why),) = not_listening_in(ledger, clock)
    assert until == utc(clock.now())
    assert why == "its trigger is away; the broker kept the messages for it"
    clock.advance(-20)  # it was noticed 15 s late
    assert since == utc(clock.now())


def test_a_camera_that_is_kept_through_a_reload_goes_on_listening(
    clock: FakeClock, ledger: Ledger, camera: Callable[..., Camera]
) -> None:
    top = camera(trigger=Calls())
    before = ListeningLog(ledger, [top], clock)
    before.step()
    clock.advance(1)
    before.end("the station reads its line file again", kept={"top"})
    clock.advance(1)
    ListeningLog(ledger, [top], clock, kept={"top"}).step()
    assert not_listening_in(ledger, clock) == []


def test_the_end_of_a_station_is_noted_with_its_reason(
    clock: FakeClock, ledger: Ledger, camera: Callable[..., Camera]
) -> None:
    log = ListeningLog(ledger, [camera(trigger=Calls())], clock)
    log.step()
    clock.advance(60)
    log.end("the station is stopping")
    assert not_listening_in(ledger, clock) == [(utc(clock.now()), "", "the station is stopping")]


def test_a_ledger_that_cannot_be_written_is_tried_again(
    clock: FakeClock,
    ledger: Ledger,
    camera: Callable[..., Camera],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = ListeningLog(ledger, [camera(trigger=Calls())], clock)

    def full() -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "writing", full)
        log.step()
    log.step()
    assert not_listening_in(ledger, clock) == []
