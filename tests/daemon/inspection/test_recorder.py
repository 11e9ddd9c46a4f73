"""One record a trigger, closed once, whatever the disk does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.inspection import recorder as module
from pipeline.daemon.inspection.recorder import RETRY_AFTER_S, Recorder
from pipeline.daemon.inspection.work_queue import Arrival
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(AT)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1", {"all": tuple(Verdict)})) as opened:
        yield opened


@pytest.fixture
def recorder(ledger: Ledger, clock: FakeClock) -> Recorder:
    return Recorder(ledger, clock)


def opened(recorder: Recorder, serial: str = "part-1") -> Arrival:
    arrival = recorder.open("top", AT, 0.0, serial)
    assert arrival is not None
    return arrival


def failing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, name: str) -> Callable[[], None]:
    """Have one of the ledger's methods fail until the function returned is called."""
    broken = True

    def fail(*args: object) -> object:
        if broken:
            raise LedgerError("database or disk is full")
        return whole(*args)

    def mend() -> None:
        nonlocal broken
        broken = False

    whole = getattr(ledger, name)
    monkeypatch.setattr(ledger, name, fail)
    return mend


def test_a_record_is_closed_by_the_first_who_tries(recorder: Recorder, ledger: Ledger) -> None:
    arrival = opened(recorder)
    assert recorder.close(arrival, recorder.record(arrival, Verdict.FAIL, "scratch")) is not None
    assert recorder.refuse(arrival, "inspection lost: no sign of life for 10 s") is None
    (record,) = ledger.records()
    assert (record.verdict, record.reason) == (Verdict.FAIL, "scratch")


def test_latency_counts_from_the_trigger_to_the_writing(
    recorder: Recorder, ledger: Ledger, clock: FakeClock
) -> None:
    arrival = opened(recorder)
    clock.advance(0.025)
    recorder.close(arrival, recorder.record(arrival, Verdict.PASS, ""))
    (record,) = ledger.records()
    assert record.latency_ms == 25.0


def test_a_verdict_after_the_takt_is_none(ledger: Ledger, clock: FakeClock) -> None:
    recorder = Recorder(ledger, clock, takt_ms=100)
    arrival = opened(recorder)
    clock.advance(0.130)
    closed = recorder.close(arrival, recorder.record(arrival, Verdict.PASS, ""))
    assert closed is not None
    assert closed.verdict is Verdict.NOT_INSPECTED
    assert closed.reason == "takt exceeded: PASS came after 130 ms (takt 100 ms)"


def test_a_part_that_waited_longer_than_the_takt_need_not_be_inspected(
    ledger: Ledger, clock: FakeClock
) -> None:
    recorder = Recorder(ledger, clock, takt_ms=100)
    arrival = opened(recorder)
    assert recorder.too_late(arrival) is None
    clock.advance(0.101)
    assert recorder.too_late(arrival) == "takt exceeded: it waited 101 ms (takt 100 ms)"


def test_subscribers_are_notified_after_the_record_was_committed(
    recorder: Recorder, ledger: Ledger
) -> None:
    seen: list[tuple[Record, int]] = []
    recorder.subscribe(lambda r, f: seen.append((r, sum(ledger.account().verdicts.values()))))
    arrival = opened(recorder)
    recorder.close(arrival, recorder.record(arrival, Verdict.PASS, ""))
    ((record, closed),) = seen
    assert (record.id, closed) == (arrival.record, 1)


def test_a_failing_subscriber_does_not_keep_others_from_being_notified(recorder: Recorder) -> None:
    notified: list[Record] = []

    def fail(record: Record, frame: Frame | None) -> None:
        raise RuntimeError("no")

    recorder.subscribe(fail)
    recorder.subscribe(lambda record, frame: notified.append(record))
    arrival = opened(recorder)
    assert recorder.close(arrival, recorder.record(arrival, Verdict.PASS, "")) is not None
    assert [r.id for r in notified] == [arrival.record]


def test_triggers_that_cannot_be_recorded_are_recorded_later(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = failing(ledger, monkeypatch, "open_record")
    answers: list[Record | None] = []
    assert recorder.open("top", AT, 0.0, "part-1", answer=answers.append) is None
    assert recorder.open("top", AT + timedelta(seconds=1), 1.0, "part-2") is None
    assert answers == [None]
    assert recorder.alarm == "database or disk is full"
    assert recorder.triggers == 2
    mend()
    clock.advance(RETRY_AFTER_S)
    opened(recorder, "part-3")
    assert recorder.alarm == ""
    records = list(ledger.records())
    assert [(r.serial, r.verdict) for r in records] == [
        ("part-1", Verdict.NOT_INSPECTED),
        ("part-2", Verdict.NOT_INSPECTED),
    ]
    assert records[0].reason == "ledger: database or disk is full"
    assert ledger.account().triggers == 3


def test_the_ledger_is_tried_again_though_no_trigger_comes(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = failing(ledger, monkeypatch, "open_record")
    recorder.open("top", AT, 0.0, "part-1")
    mend()
    clock.advance(RETRY_AFTER_S)
    recorder.recover()
    assert recorder.alarm == ""
    assert [r.serial for r in ledger.records()] == ["part-1"]


def test_triggers_that_were_missed_are_recorded_though_a_verdict_was_written_before_them(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = opened(recorder, "part-1")
    mend = failing(ledger, monkeypatch, "open_record")
    recorder.open("top", AT, 0.0, "part-2")
    mend()
    recorder.close(waiting, recorder.record(waiting, Verdict.PASS, ""))
    assert recorder.alarm == ""
    clock.advance(RETRY_AFTER_S)
    recorder.recover()
    assert [(r.serial, r.reason) for r in ledger.records()] == [
        ("part-1", ""),
        ("part-2", "ledger: database or disk is full"),
    ]


def test_triggers_that_were_missed_are_recorded_when_the_station_ends(
    recorder: Recorder,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mend = failing(ledger, monkeypatch, "open_record")
    recorder.open("top", AT, 0.0, "part-1")
    mend()
    recorder.settle()
    assert [r.serial for r in ledger.records()] == ["part-1"]
    assert "not in the ledger" not in caplog.text


def test_triggers_that_are_lost_with_the_station_are_counted_in_the_log(
    recorder: Recorder,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing(ledger, monkeypatch, "open_record")
    failing(ledger, monkeypatch, "add_refused")
    recorder.open("top", AT, 0.0, "part-1")
    recorder.settle()
    assert "1 triggers are not in the ledger: database or disk is full" in caplog.text


def test_a_verdict_waits_until_the_ledger_can_be_written(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = opened(recorder)
    mend = failing(ledger, monkeypatch, "close_record")
    waits: list[float] = []

    class Patient(Heartbeat):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            mend()
            return False

    closed = recorder.close(arrival, recorder.record(arrival, Verdict.FAIL, "dent"), Patient(clock))
    assert closed is not None
    assert (len(waits), closed.verdict, recorder.alarm) == (1, Verdict.FAIL, "")


def test_a_verdict_that_cannot_be_written_at_the_end_leaves_the_record_open(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = opened(recorder)
    failing(ledger, monkeypatch, "close_record")
    heartbeat = Heartbeat(clock)
    heartbeat.stop()
    assert (
        recorder.close(arrival, recorder.record(arrival, Verdict.FAIL, "dent"), heartbeat) is None
    )
    assert recorder.left_open() == [arrival]
    assert recorder.counters.verdicts[Verdict.FAIL] == 0


def test_a_missed_trigger_is_recorded_though_a_verdict_found_the_ledger_well_again(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = opened(recorder, "part-1")
    mend = failing(ledger, monkeypatch, "open_record")
    recorder.open("top", AT, 0.0, "part-2")
    mend()
    recorder.close(arrival, recorder.record(arrival, Verdict.PASS, ""))
    assert recorder.alarm == ""
    clock.advance(RETRY_AFTER_S)
    recorder.recover()
    records = {r.serial: r.reason for r in ledger.records()}
    assert records == {"part-1": "", "part-2": "ledger: database or disk is full"}


def test_a_record_that_could_not_be_closed_is_closed_once_the_ledger_is_well(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Record | None] = []
    arrival = recorder.open("top", AT, 0.0, "part-1", answer=answers.append)
    assert arrival is not None
    mend = failing(ledger, monkeypatch, "close_record")
    assert recorder.refuse(arrival, "inspection lost: it hung") is None
    mend()
    clock.advance(RETRY_AFTER_S)
    recorder.recover()
    (record,) = ledger.records()
    assert record.reason == "inspection lost: it hung"
    assert answers == [record]
    assert recorder.left_open() == []


def test_a_locked_ledger_keeps_a_camera_from_its_frames_once_and_not_at_each_trigger(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def locked(*args: object) -> str:
        tried.append(clock.monotonic_s())
        raise LedgerError("database is locked")

    monkeypatch.setattr(ledger, "open_record", locked)
    for n in range(30):
        recorder.open("top", AT, n * 0.04, f"part-{n}")
        clock.advance(0.04)
    assert len(tried) <= 3
    assert recorder.triggers == 30


def test_the_number_of_triggers_never_falls(
    recorder: Recorder, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    close = ledger.close_record

    def watched(record: Record) -> None:
        seen.append(recorder.triggers)
        close(record)

    monkeypatch.setattr(ledger, "close_record", watched)
    arrival = opened(recorder)
    recorder.refuse(arrival, "overload: 1 frames were waiting (limit 1)")
    assert [*seen, recorder.triggers] == [1, 1]


def test_room_is_made_on_a_full_disk_before_anything_is_given_up(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = failing(ledger, monkeypatch, "open_record")

    def make_room(error: LedgerError) -> bool:
        mend()
        return True

    recorder = Recorder(ledger, clock, make_room=make_room)
    assert recorder.open("top", AT, 0.0, "part-1") is not None
    assert recorder.alarm == ""


def test_a_ledger_locked_by_another_program_is_written_once_it_is_free(
    recorder: Recorder, ledger: Ledger, clock: FakeClock
) -> None:
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert recorder.open("top", AT, 0.0, "part-1") is None
        assert "locked" in recorder.alarm
        other.execute("ROLLBACK")
    clock.advance(RETRY_AFTER_S)
    arrival = opened(recorder, "part-2")
    recorder.close(arrival, replace(recorder.record(arrival, Verdict.PASS, ""), defect_score=0.1))
    account = ledger.account()
    assert account.balances
    assert account.verdicts[Verdict.NOT_INSPECTED] == account.verdicts[Verdict.PASS] == 1


def test_what_is_closed_is_in_the_outbox_of_each_sink(recorder: Recorder, ledger: Ledger) -> None:
    arrival = opened(recorder)
    recorder.refuse(arrival, "no frame: none came")
    with ledger.reading() as db:
        rows = db.execute("SELECT sink, record FROM outbox").fetchall()
    assert [tuple(r) for r in rows] == [("all", arrival.record)]


def test_a_record_that_is_gone_is_given_up_and_not_tried_for_ever(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Record | None] = []
    arrival = recorder.open("top", AT, 0.0, "part-1", answer=answers.append)
    assert arrival is not None
    with closing(sqlite3.connect(ledger.path)) as tampering, tampering:
        tampering.execute("DELETE FROM records")
    assert (
        recorder.close(arrival, recorder.record(arrival, Verdict.FAIL, ""), Impatient(clock))
        is None
    )
    assert f"record {arrival.record} was never opened; its verdict FAIL is given up" in caplog.text
    assert (recorder.alarm, recorder.left_open(), answers) == ("", [], [None])


def test_a_record_that_somebody_else_has_closed_is_given_up(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    arrival = opened(recorder)
    with closing(sqlite3.connect(ledger.path)) as tampering, tampering:
        tampering.execute("UPDATE records SET verdict = 'PASS'")
    assert (
        recorder.close(arrival, recorder.record(arrival, Verdict.FAIL, ""), Impatient(clock))
        is None
    )
    assert "is closed already; its verdict FAIL is given up" in caplog.text
    assert ledger.account().verdicts[Verdict.FAIL] == 0


class Impatient(Heartbeat):
    """Of a worker that may not wait."""

    def wait(self, seconds: float) -> bool:
        pytest.fail("it is tried again")


def test_forgotten_triggers_stay_in_the_account_which_does_not_balance(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    mend = failing(ledger, monkeypatch, "open_record")
    for n in range(5):
        recorder.open("top", AT, n, f"part-{n}")
    assert (recorder.triggers, recorder.forgotten, recorder.lost) == (2, 3, 5)
    mend()
    clock.advance(RETRY_AFTER_S)
    recorder.recover()
    account = ledger.account()
    assert (account.triggers, account.verdicts[Verdict.NOT_INSPECTED]) == (5, 2)
    assert not account.balances
    assert (recorder.forgotten, recorder.lost) == (3, 0)
    with ledger.reading() as db:
        events = db.execute("SELECT kind, detail FROM events").fetchall()
    assert ("triggers never recorded", "3: database or disk is full") in [tuple(e) for e in events]


def test_forgotten_triggers_count_once_in_however_many_outages(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 1)
    for _ in range(2):
        mend = failing(ledger, monkeypatch, "open_record")
        for n in range(3):
            recorder.open("top", AT, n, f"part-{n}")
        mend()
        clock.advance(RETRY_AFTER_S)
        recorder.recover()
        recorder.recover(at_once=True)
        clock.advance(RETRY_AFTER_S)
    assert (recorder.triggers, recorder.forgotten, ledger.account().triggers) == (2, 4, 6)


def test_forgotten_triggers_are_counted_before_the_next_that_comes(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 0)
    mend = failing(ledger, monkeypatch, "open_record")
    recorder.open("top", AT, 0.0, "part-1")
    mend()
    clock.advance(RETRY_AFTER_S)
    opened(recorder, "part-2")
    with ledger.reading() as db:
        assert [r["seq"] for r in db.execute("SELECT seq FROM records").fetchall()] == [2]


def test_forgotten_triggers_that_cannot_be_counted_are_counted_later(
    recorder: Recorder, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 0)
    mend_opening = failing(ledger, monkeypatch, "open_record")
    mend_counting = failing(ledger, monkeypatch, "add_forgotten")
    recorder.open("top", AT, 0.0, "part-1")
    mend_opening()
    recorder.settle()
    assert (recorder.lost, ledger.account().triggers) == (1, 0)
    mend_counting()
    recorder.settle()
    assert (recorder.lost, ledger.account().triggers) == (0, 1)
