"""The worker of a sink: what happens to letters when the receiver takes, refuses or is away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.outbox.dispatcher import GRACE_S, Dispatcher
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import BATCH, RecordRefused, SinkConfig, SinkDown
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox
from pipeline.testing import FakeClock, FakeSink

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY_S = 86400.0


class Shift(FakeClock):
    """A clock that does things at set moments, while the worker waits."""

    def __init__(self) -> None:
        super().__init__(START)
        self._plan: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        self._plan.append((self.monotonic_s() + seconds, act))
        self._plan.sort(key=lambda p: p[0])

    def wait(self, stop: Any, seconds: float) -> None:
        super().wait(stop, seconds)
        while self._plan and self._plan[0][0] <= self.monotonic_s():
            self._plan.pop(0)[1]()


class FakeConfig(SinkConfig):
    """A sink of the test's own."""

    type: str = "fake"
    sink: Any

    def open(self, station: str, clock: object) -> Any:
        return self.sink


class Station:
    """A ledger with one sink and its dispatcher."""

    def __init__(self, path: Path, sink: FakeSink, **settings: Any) -> None:
        self.clock = Shift()
        self.sink = sink
        self.config = FakeConfig(sink=sink, **settings)
        self.ledger = Ledger(path, "west-1", {"fake": self.config.verdicts}, self.clock)
        self.outbox = Outbox(self.ledger, "fake")
        self.announced: dict[str, Any] = {"ready": True}
        self.dispatcher = Dispatcher(
            self.config, self.ledger, self.clock, lambda: dict(self.announced)
        )

    def judge(self, n: int, verdict: Verdict = Verdict.PASS) -> list[str]:
        """Close n records; returns their ids."""
        closed = []
        for i in range(n):
            at = self.clock.now()
            identity = self.ledger.open_record(at, f"part-{i}")
            self.ledger.close_record(
                Record(identity, "west-1", at.isoformat(), f"part-{i}", verdict, "", latency_ms=1.0)
            )
            closed.append(identity)
        return closed

    def work(self, seconds: float) -> Heartbeat:
        """Let the dispatcher work so long."""
        heartbeat = Heartbeat(self.clock)
        self.clock.at(seconds, heartbeat.stop)
        self.dispatcher.run(heartbeat)
        return heartbeat

    @property
    def delivered(self) -> list[str]:
        return [r.id for r in self.sink.records]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture(name="station")
def working_station(path: Path) -> Station:
    return Station(path, FakeSink())


def test_a_sink_knows_where_people_find_records_also_when_it_is_opened_again(path: Path) -> None:
    sink, clock = FakeSink(), FakeClock()
    ledger = Ledger(path, "west-1", {"fake": tuple(Verdict)}, clock)
    at = "https://west-1.plant/records/"
    Dispatcher(FakeConfig(sink=sink), ledger, clock, dict, at)
    assert sink.records_at == at
    ledger.close()


def test_entries_are_delivered_in_order_and_forgotten(station: Station) -> None:
    ids = station.judge(2 * BATCH + 3)
    station.work(1)
    assert station.delivered == ids
    assert station.outbox.depth() == (0, 0)
    assert station.dispatcher.status.delivered == len(ids)


def test_entry_holds_up_those_after_it_until_the_sink_is_up_again(station: Station) -> None:
    ids = station.judge(3)
    station.sink.failure = SinkDown("the cable is cut")
    station.clock.at(5, lambda: station.judge(2))
    station.clock.at(8, lambda: setattr(station.sink, "failure", None))
    station.work(60)
    assert station.delivered[:3] == ids
    assert len(station.delivered) == 5
    assert station.delivered == sorted(station.delivered)


def test_down_and_up_are_each_logged_once(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    station.judge(1)
    station.sink.failure = SinkDown("the cable is cut")
    station.clock.at(300, lambda: setattr(station.sink, "failure", None))
    station.work(400)
    assert caplog.messages == [
        "sink fake is down: the cable is cut; its records wait in the outbox",
        "sink fake is up again",
    ]


def test_status_has_what_waits_and_why(station: Station) -> None:
    station.judge(3)
    station.sink.failure = SinkDown("the cable is cut")
    station.work(10)
    state = station.dispatcher.status
    assert (state.name, state.up, state.alarm) == ("fake", False, "the cable is cut")
    assert (state.due, state.dead, state.delivered) == (3, 0, 0)


class Counting(FakeSink):
    """Counts deliveries, and remembers when they were."""

    def __init__(self, clock_of: Callable[[], Shift]) -> None:
        super().__init__()
        self.tries_s: list[float] = []
        self._clock_of = clock_of

    def deliver(self, records: Sequence[Record]) -> None:
        self.tries_s.append(self._clock_of().monotonic_s())
        super().deliver(records)


def test_pauses_grow_to_half_a_minute_and_new_records_do_not_shorten_them(path: Path) -> None:
    sink = Counting(lambda: station.clock)
    station = Station(path, sink)
    sink.failure = SinkDown("away")
    station.judge(1)
    for second in range(600):
        station.clock.at(second, station.dispatcher.nudge)
    station.work(600)
    pauses = [b - a for a, b in zip(sink.tries_s, sink.tries_s[1:], strict=False)]
    assert pauses[0] < 1
    assert all(15 <= p <= 31 for p in pauses[7:])
    assert len(sink.tries_s) < 60


def test_a_receiver_that_asks_for_time_gets_it(path: Path) -> None:
    sink = Counting(lambda: station.clock)
    station = Station(path, sink)
    sink.failure = SinkDown("429", retry_after_s=120)
    station.judge(1)
    station.work(119)
    assert len(sink.tries_s) == 1


def test_a_new_record_wakes_an_idle_dispatcher(path: Path) -> None:
    sink = Counting(lambda: station.clock)
    station = Station(path, sink)

    def close() -> None:
        station.judge(1)
        station.dispatcher.nudge()

    station.clock.at(4.3, close)
    station.work(10)
    (tried_s,) = sink.tries_s
    assert tried_s < 5


class Choosy(FakeSink):
    """Refuses one record."""

    def __init__(self, refused: str) -> None:
        super().__init__()
        self.refused = refused

    def deliver(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.serial == self.refused:
                raise RecordRefused(record.id, "no such order")
            self.records.append(record)


def test_refused_record_is_a_dead_letter_and_those_around_it_arrive_once(path: Path) -> None:
    station = Station(path, Choosy("part-2"))
    ids = station.judge(5)
    station.work(1)
    assert station.delivered == ids[:2] + ids[3:]
    assert station.outbox.depth() == (0, 1)
    assert station.dispatcher.status.up


def test_refusal_of_a_record_that_was_not_given_is_taken_for_an_outage(station: Station) -> None:
    station.judge(2)
    station.sink.failure = RecordRefused("another", "no")
    station.work(5)
    assert station.outbox.depth() == (2, 0)
    assert "refused a record that it was not given" in station.dispatcher.status.alarm


@pytest.mark.slow
def test_entries_become_dead_letters_when_the_sink_was_down_too_long(path: Path) -> None:
    station = Station(path, FakeSink(), give_up_after_days=2)
    station.judge(3)
    station.sink.failure = SinkDown("away")
    station.clock.at(1.9 * DAY_S, lambda: station.judge(1))
    station.work(2.1 * DAY_S)
    assert station.outbox.depth() == (1, 3)
    with station.ledger.reading() as db:
        (error,) = {row[0] for row in db.execute("SELECT error FROM outbox WHERE dead = 1")}
    assert error == "not delivered within 2 days: away"


def test_sink_that_is_up_gets_records_of_any_age(station: Station) -> None:
    ids = station.judge(3)
    station.clock.advance(30 * DAY_S)
    station.work(1)
    assert station.delivered == ids


def test_a_short_outage_gives_up_nothing_however_old(station: Station) -> None:
    ids = station.judge(3)
    station.clock.advance(30 * DAY_S)
    station.sink.failure = SinkDown("restarting")
    station.clock.at(GRACE_S / 2, lambda: setattr(station.sink, "failure", None))
    station.work(GRACE_S)
    assert station.delivered == ids


@pytest.mark.parametrize("years", [6, -6])
def test_a_clock_that_is_set_gives_up_nothing(station: Station, years: int) -> None:
    ids = station.judge(5)
    station.sink.failure = SinkDown("away")
    step = timedelta(days=365 * years)
    station.clock.at(1200, lambda: station.clock.set(station.clock.now() + step))
    station.clock.at(2400, lambda: setattr(station.sink, "failure", None))
    station.work(3600)
    assert station.delivered == ids


def test_bug_in_a_sink_is_logged_once_without_its_text_and_ends_nothing(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    ids = station.judge(1)
    station.sink.failure = ValueError("password=s3cret")
    station.clock.at(100, lambda: setattr(station.sink, "failure", None))
    station.work(200)
    assert station.delivered == ids
    assert [m.partition("\n")[0] for m in caplog.messages] == [
        "sink fake: unexpected ValueError",
        "sink fake is down: unexpected ValueError; see the log; its records wait in the outbox",
        "sink fake is up again",
    ]
    assert "s3cret" not in caplog.text


def test_state_of_the_station_is_announced_when_it_changes(station: Station) -> None:
    station.clock.at(5, lambda: station.announced.update(ready=False))
    station.work(10)
    assert station.sink.states == [{"ready": True}, {"ready": False}]


def test_state_is_announced_again_after_an_outage(station: Station) -> None:
    station.clock.at(2, lambda: setattr(station.sink, "failure", SinkDown("away")))
    station.clock.at(2.5, lambda: station.judge(1))
    station.clock.at(20, lambda: setattr(station.sink, "failure", None))
    station.work(100)
    assert station.sink.states == [{"ready": True}, {"ready": True}]


def test_sink_that_cannot_be_sent_the_state_still_gets_records(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise SinkDown("no")

    monkeypatch.setattr(station.sink, "announce", fail)
    ids = station.judge(1)
    station.work(5)
    assert station.delivered == ids
    assert station.dispatcher.status.up


def test_draining_tries_once_more_at_once(path: Path) -> None:
    sink = Counting(lambda: station.clock)
    station = Station(path, sink)
    station.judge(1)
    sink.failure = SinkDown("away")
    moment: list[float] = []
    idle: list[bool] = []

    def drain() -> None:
        moment.append(station.clock.monotonic_s())
        idle.append(station.dispatcher.idle)
        station.dispatcher.drain()
        idle.append(station.dispatcher.idle)

    station.clock.at(100, drain)
    station.work(101)
    assert len([s for s in sink.tries_s if s >= moment[0]]) == 1
    assert sink.tries_s[-1] == moment[0]
    assert [*idle, station.dispatcher.idle] == [True, False, True]


def test_dispatcher_is_idle_once_everything_is_delivered(station: Station) -> None:
    station.judge(1)
    assert not station.dispatcher.idle
    station.work(1)
    assert station.dispatcher.idle


def test_full_ledger_disk_does_not_end_the_worker(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.errors import LedgerError

    ids = station.judge(1)
    delivered = Outbox.delivered
    full = [True]

    def forget(outbox: Outbox, letters: Any) -> None:
        if full:
            raise LedgerError("database or disk is full")
        delivered(outbox, letters)

    monkeypatch.setattr(Outbox, "delivered", forget)
    station.clock.at(10, full.clear)
    station.work(60)
    assert set(station.delivered) == set(ids)
    assert station.outbox.depth() == (0, 0)


def test_abandoned_worker_that_wakes_up_reports_nothing(path: Path) -> None:
    class Hanging(FakeSink):
        def deliver(self, records: Sequence[Record]) -> None:
            if not self.records:
                self.records += records
                successor = Heartbeat(station.clock)
                station.clock.at(1, successor.stop)
                first.stop()
                station.dispatcher.run(successor)  # the supervisor's replacement, meanwhile
                raise SinkDown("the first one's trouble")
            super().deliver(records)

    station = Station(path, Hanging())
    station.judge(1)
    first = Heartbeat(station.clock)
    station.dispatcher.run(first)
    assert station.dispatcher.status.up


def test_a_delivery_within_its_time_is_not_taken_for_hanging(path: Path) -> None:
    class Slow(FakeSink):
        def deliver(self, records: Sequence[Record]) -> None:
            station.clock.advance(50)
            silent_s.append(heartbeat.silent_s)

    silent_s: list[float] = []
    station = Station(path, Slow(), timeout_s=60)
    station.judge(1)
    heartbeat = Heartbeat(station.clock)
    station.clock.at(51, heartbeat.stop)
    station.dispatcher.run(heartbeat)
    assert silent_s == [-10.0]


def test_old_records_do_not_hide_how_long_a_sink_has_been_down(path: Path) -> None:
    station = Station(path, FakeSink(), give_up_after_days=0.001)
    station.judge(1)
    station.clock.advance(timedelta(days=1).total_seconds())
    station.sink.failure = SinkDown("away")
    station.work(80)
    assert station.outbox.depth() == (1, 0)
