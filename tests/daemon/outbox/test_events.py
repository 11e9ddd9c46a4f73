"""Events of a station on their way to a sink: in order, once, and after an outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.daemon.outbox.events import EventDelivery
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import RecordRefused, SinkDown
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.events import add_event
from pipeline.testing import FakeClock, FakeSink
from tests.daemon.outbox.test_dispatcher import FakeConfig, Station

PAGES = "https://west-1.plant/records/"


class Delivery:
    """A ledger, a sink and what brings events from the one to the other."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.clock = FakeClock()
        self.sink = FakeSink()
        self.config = FakeConfig(sink=self.sink, **settings)
        self.ledger = Ledger(path, "west-1", clock=self.clock)
        self.again()

    def again(self) -> None:
        """Start as a station does."""
        self.events = EventDelivery(self.config, self.ledger, self.clock, PAGES)
        self.step()

    def add(self, key: str) -> None:
        now = self.clock.now()
        add_event(self.ledger, now, "quality signal", f"detail {key}", {"test": 1}, key)

    def step(self, seconds: float = 120) -> None:
        self.clock.advance(seconds)
        self.events.deliver(self.sink, Heartbeat(self.clock))

    @property
    def details(self) -> list[str]:
        return [event["detail"] for event in self.sink.events]


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[Delivery]:
    made = Delivery(tmp_path / "ledger.sqlite")
    with closing(made.ledger):
        yield made


def test_an_event_is_delivered_once_with_the_address_of_its_page(delivery: Delivery) -> None:
    delivery.add("a")
    delivery.step()
    delivery.step()
    (event,) = delivery.sink.events
    at = event["at"]
    assert event == {
        "type": "quality.signal",
        "id": "west-1-event-1",
        "station": "west-1",
        "at": at,
        "detail": "detail a",
        "data": {"test": 1},
        "url": "https://west-1.plant/quality",
    }


def test_events_wait_in_order_while_the_receiver_is_away(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.sink.failure = SinkDown("broker away")
    delivery.add("a")
    delivery.step()
    delivery.add("b")
    delivery.step()
    assert delivery.details == []
    assert caplog.messages == ["sink fake: events wait: broker away"]
    delivery.sink.failure = None
    delivery.step()
    assert delivery.details == ["detail a", "detail b"]


def test_a_restart_delivers_what_is_due_and_nothing_again(delivery: Delivery) -> None:
    delivery.add("a")
    delivery.step()
    delivery.add("b")
    delivery.again()
    assert delivery.details == ["detail a", "detail b"]


def test_an_event_that_is_refused_is_logged_and_does_not_hold_up_the_next(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.add("a")
    delivery.sink.failure = RecordRefused("west-1-event-1", "answered 422")
    delivery.step()
    delivery.sink.failure = None
    delivery.add("b")
    delivery.step()
    assert delivery.details == ["detail b"]
    assert caplog.messages == ["sink fake refused event 1: answered 422"]


def test_the_text_of_an_unexpected_error_is_not_logged(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.add("a")
    delivery.sink.failure = ValueError("password=secret")
    delivery.step()
    assert caplog.messages == ["sink fake: events wait: unexpected ValueError"]


def test_a_sink_that_wants_no_events_gets_none(tmp_path: Path) -> None:
    delivery = Delivery(tmp_path / "ledger.sqlite", events=False)
    delivery.add("a")
    delivery.step()
    assert delivery.details == []


def test_the_worker_of_a_sink_delivers_events_beside_its_records(tmp_path: Path) -> None:
    station = Station(tmp_path / "ledger.sqlite", FakeSink())
    station.work(3)
    add_event(station.ledger, station.clock.now(), "quality signal", "first", {"test": 1}, "a")
    station.judge(2)
    station.work(3)
    assert len(station.delivered) == 2
    assert [event["detail"] for event in station.sink.events] == ["first"]
