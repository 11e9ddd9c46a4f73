"""From trigger to closed record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import numpy as np
import pytest
from onnxruntime import InferenceSession

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.build import FixedModel
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line, Supervision
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.station import Station, Summary
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import LedgerError, UnreadableImage
from pipeline.imaging import Pixels
from pipeline.inference.inspector import Inspection, Inspector
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock, FakeSource
from tests.conftest import NOW
from tests.daemon.conftest import station_of
from tests.ledger.upkeep.test_integrity import fill, first_leaf_of_records

Inspect = Callable[..., tuple[Summary, list[Record]]]


def grey(brightness: int) -> Pixels:
    return np.full((20, 24, 3), brightness, np.uint8)


@pytest.fixture
def inspect(sealed_bundle: Bundle, line: Line) -> Inspect:
    """Run a station over pictures; returns its summary and the ledger's records."""

    def run(
        *pictures: Pixels | Exception, inspector: Inspector | None = None
    ) -> tuple[Summary, list[Record]]:
        source = FakeSource(pictures, Clock())
        with closing(Ledger(line.ledger, "west-1")) as ledger:
            station = station_of(line, source, inspector or Inspector(sealed_bundle, 1), ledger)
            return station.run(threading.Event()), list(ledger.records())

    return run


def test_each_frame_gets_one_record_with_the_networks_verdict(inspect: Inspect) -> None:
    _, records = inspect(grey(200), grey(50), grey(128))
    assert [r.verdict for r in records] == [Verdict.PASS, Verdict.FAIL, Verdict.REVIEW]
    assert [r.serial for r in records] == ["part-0", "part-1", "part-2"]


def test_record_carries_scores_class_model_and_time(inspect: Inspect) -> None:
    _, (record,) = inspect(grey(50))
    assert record.part_class == "defective"
    assert record.scores["defective"] == pytest.approx(1.0, abs=1e-4)
    assert record.model_version == "cells/3"
    assert (record.camera, record.frame_age_ms) == ("camera", 0.0)
    assert record.latency_ms is not None
    assert record.latency_ms > 0


def test_a_frame_that_cannot_be_decoded_is_recorded_as_not_inspected(inspect: Inspect) -> None:
    _, records = inspect(grey(200), UnreadableImage("x.png cannot be decoded"), grey(200))
    assert [r.verdict for r in records] == [Verdict.PASS, Verdict.NOT_INSPECTED, Verdict.PASS]
    assert records[1].reason == "unreadable: x.png cannot be decoded"
    assert records[1].defect_score is None


def test_good_part_in_a_picture_unlike_training_goes_to_review(inspect: Inspect) -> None:
    _, (record,) = inspect(grey(250))
    assert record.verdict is Verdict.REVIEW
    assert record.reason.startswith("too bright: mean grey 250.0, training saw 60.0 to 180.0;")


def test_defective_part_in_a_picture_unlike_training_still_fails(inspect: Inspect) -> None:
    _, (record,) = inspect(grey(10))
    assert record.verdict is Verdict.FAIL
    assert record.reason.startswith("too dark")


class Stumbling(Inspector):
    """Fails at the second frame it sees."""

    seen = 0

    def inspect(self, rgb: Pixels) -> Inspection:
        self.seen += 1
        if self.seen == 2:
            raise RuntimeError("out of\nmemory")
        return super().inspect(rgb)


def test_an_error_at_one_frame_is_recorded_and_the_line_goes_on(
    inspect: Inspect, sealed_bundle: Bundle
) -> None:
    _, records = inspect(grey(200), grey(200), grey(200), inspector=Stumbling(sealed_bundle, 1))
    assert [r.verdict for r in records] == [Verdict.PASS, Verdict.NOT_INSPECTED, Verdict.PASS]
    assert records[1].reason == "RuntimeError: out of memory"


def test_a_score_that_is_not_a_number_is_not_a_verdict(
    inspect: Inspect, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(sealed_bundle, threads=1)
    nan = np.full((1, 2), np.nan, np.float32)
    monkeypatch.setattr(InferenceSession, "run", lambda *_: (nan, nan))
    _, (record,) = inspect(grey(200), inspector=inspector)
    assert record.verdict is Verdict.NOT_INSPECTED
    assert "values that are not numbers" in record.reason


def test_summary_counts_every_trigger_once(inspect: Inspect) -> None:
    summary, _ = inspect(grey(200), grey(200), grey(50), grey(128), UnreadableImage("damaged"))
    assert summary.triggers == 5
    assert summary.verdicts == {
        Verdict.PASS: 2,
        Verdict.FAIL: 1,
        Verdict.REVIEW: 1,
        Verdict.NOT_INSPECTED: 1,
    }
    assert summary.balances


def test_summary_leaves_out_what_earlier_runs_recorded(inspect: Inspect) -> None:
    inspect(grey(200))
    summary, records = inspect(grey(50))
    assert (summary.triggers, len(records)) == (1, 2)


def test_a_terminal_that_is_gone_does_not_end_the_station(
    sealed_bundle: Bundle, line: Line
) -> None:
    def gone() -> None:
        raise BrokenPipeError("the terminal is gone")

    with closing(Ledger(line.ledger, "west-1")) as ledger:
        source = FakeSource([grey(200)] * 3, Clock())
        station = station_of(line, source, Inspector(sealed_bundle, 1), ledger)
        summary = station.run(threading.Event(), on_step=gone)
    assert summary.verdicts[Verdict.PASS] == 3


def test_stopping_while_the_ledger_is_locked_does_not_wait_for_it_once_a_part(
    sealed_bundle: Bundle, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def locked(record: Record) -> None:
        tried.append(record.serial)
        raise LedgerError("database is locked")

    with closing(Ledger(line.ledger, "west-1")) as ledger:
        clock = FakeClock()
        station = station_of(
            line, FakeSource([], clock), Inspector(sealed_bundle, 1), ledger, clock
        )
        for n in range(20):
            station.recorder.open("camera", clock.now(), clock.monotonic_s(), f"part-{n}")
        monkeypatch.setattr(ledger, "close_record", locked)
        stop = threading.Event()
        stop.set()
        station.run(stop)
        assert len(tried) <= 2
        assert len(station.recorder.left_open()) == 20


@pytest.mark.slow
def test_an_inspection_that_hangs_keeps_a_station_from_its_end_no_longer_than_draining_may_take(
    sealed_bundle: Bundle, line: Line
) -> None:
    stop, woken = threading.Event(), threading.Event()

    class Hanging(Inspector):
        def inspect(self, rgb: Pixels) -> Inspection:
            stop.set()
            woken.wait(60)  # whoever waits for its end gets a verdict
            return super().inspect(rgb)

    line = line.model_copy(update={"supervision": Supervision(drain_s=0.2)})
    with closing(Ledger(line.ledger, "west-1")) as ledger:
        source = FakeSource([grey(200)] * 3, Clock())
        summary = station_of(line, source, Hanging(sealed_bundle, 1), ledger).run(stop)
        first, *others = ledger.records()
        woken.set()
    assert summary.balances
    assert summary.verdicts[Verdict.NOT_INSPECTED] == summary.triggers == 1 + len(others)
    assert first.reason == "station stopped: the part was still being inspected"
    assert {r.reason for r in others} <= {"station stopped: the part was still waiting"}


def test_the_part_of_a_lost_worker_is_closed_though_its_model_does_not_load_again(
    sealed_bundle: Bundle, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Inspector):
        def inspect(self, rgb: Pixels) -> Inspection:
            if rgb[0, 0, 0] == 50:
                raise SystemExit
            return super().inspect(rgb)

    def fail(model: FixedModel) -> None:
        raise RuntimeError("no memory on the device")

    monkeypatch.setattr(FixedModel, "renew", fail)
    with closing(Ledger(line.ledger, "west-1")) as ledger:
        source = FakeSource([grey(50), grey(200)], Clock())
        station = station_of(line, source, Dying(sealed_bundle, 1), ledger)
        station.run(threading.Event())
        records = list(ledger.records())
    assert [r.verdict for r in records] == [Verdict.NOT_INSPECTED, Verdict.PASS]
    assert records[0].reason.startswith("inspection lost: SystemExit")


class Idle(Source):
    """A camera that sends nothing."""

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        heartbeat.wait(600)
        return
        yield


def alarms_of(station: Station) -> list[str]:
    """Run a station until it raises alarms."""
    stop = threading.Event()
    alarms: list[str] = []

    def look() -> None:
        alarms.extend(station.status().alarms)
        if alarms:
            stop.set()

    station.run(stop, on_step=look)
    return alarms


@pytest.mark.parametrize("replaced", [False, True])
def test_a_station_whose_ledger_was_moved_away_raises_an_alarm(
    sealed_bundle: Bundle, line: Line, caplog: pytest.LogCaptureFixture, replaced: bool
) -> None:
    with closing(Ledger(line.ledger, "west-1")) as ledger:
        line.ledger.rename(line.ledger.with_name("2026-11.sqlite"))
        if replaced:
            line.ledger.write_bytes(b"")
        alarms = alarms_of(station_of(line, Idle(), Inspector(sealed_bundle, 1), ledger))
    assert "was moved, removed or replaced" in alarms[0]
    assert caplog.text.count("was moved, removed or replaced") == 1


class Waiting(Trigger):
    """Nobody has asked for its only part when the station ends."""

    def __init__(self, *, hangs: bool) -> None:
        self.woken = threading.Event()
        self._hangs = hangs
        self._calls = [Call(NOW, 0.0, "A-1")]

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        while not (self.woken.is_set() if self._hangs else heartbeat.stopping):
            self.woken.wait(0.01)
        return
        yield

    def left(self) -> Iterable[Call]:
        return [self._calls.pop()] if self._calls else []


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [False, True])
def test_a_trigger_that_waits_when_the_station_ends_has_its_record(
    sealed_bundle: Bundle, line: Line, hangs: bool
) -> None:
    stop = threading.Event()
    stop.set()
    trigger, rules = Waiting(hangs=hangs), TriggerConfig(type="waiting")
    with closing(Ledger(line.ledger, "west-1")) as ledger:
        inspector, source = Inspector(sealed_bundle, 1), FakeSource([], Clock())
        station = station_of(line, source, inspector, ledger, trigger=trigger, rules=rules)
        summary = station.run(stop)
        trigger.woken.set()
        (record,) = ledger.records()
    assert (record.serial, record.reason) == ("A-1", "station stopped: the part was still waiting")
    assert summary.balances


def test_triggers_that_were_never_recorded_keep_the_account_from_balancing(
    sealed_bundle: Bundle, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise LedgerError("database or disk is full")

    with closing(Ledger(line.ledger, "west-1")) as ledger:
        source = FakeSource([grey(200)], Clock())
        station = station_of(line, source, Inspector(sealed_bundle, 1), ledger)
        monkeypatch.setattr(ledger, "open_record", full)
        monkeypatch.setattr(ledger, "add_refused", full)
        summary = station.run(threading.Event())
    assert (summary.triggers, summary.balances) == (1, False)


def test_damage_that_is_found_while_the_station_works_raises_an_alarm(
    sealed_bundle: Bundle, line: Line
) -> None:
    fill(line.ledger)
    first_leaf_of_records(line.ledger)
    with closing(Ledger(line.ledger, "west-1", check_at_once_bytes=0)) as ledger:
        alarms = alarms_of(station_of(line, Idle(), Inspector(sealed_bundle, 1), ledger))
    assert "lineside ledger recover" in alarms[0]
