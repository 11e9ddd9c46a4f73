"""Records and the state to a real mosquitto that is there, away, or forgets."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.outbox.dispatcher import Dispatcher
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import SinkDown, message
from pipeline.daemon.sinks.mqtt import Config, MqttSink
from pipeline.errors import MissingExtra
from pipeline.ledger.ledger import Ledger
from tests.daemon.broker import PATIENCE_S, Mosquitto
from tests.daemon.servers.relay import Relay
from tests.daemon.subscriber import Subscriber
from tests.daemon.waiting import until

pytestmark = pytest.mark.slow

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install '.[mqtt]'")

Records = Callable[[int], list[Record]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    kept = ("persistence true", f"persistence_location {tmp_path / 'broker'}/")
    with Mosquitto(
        tmp_path / "broker", *kept, "autosave_interval 1", "max_queued_messages 0"
    ) as started:
        yield started


def config(broker: Mosquitto, timeout_s: float = 5, **settings: Any) -> Config:
    place = {"host": "localhost", "port": broker.port, **settings}
    return Config.model_validate({"type": "mqtt", "broker": place, "timeout_s": timeout_s})


@pytest.fixture
def sink(broker: Mosquitto) -> Iterator[MqttSink]:
    with closing(config(broker).open("west-1", Clock())) as opened:
        yield opened


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    with closing(Subscriber(broker)) as listening:
        yield listening


def test_records_arrive_in_order_under_the_stations_topic(
    sink: MqttSink, subscriber: Subscriber, records: Records
) -> None:
    given = records(100)
    sink.deliver(given)
    until(lambda: len(subscriber.heard) == 100, "the arrival of all records")
    assert subscriber.of("lineside/west-1/verdict") == [message(r) for r in given]


def test_a_record_that_has_a_page_carries_its_address(
    sink: MqttSink, subscriber: Subscriber, records: Records
) -> None:
    (record,) = records(1)
    sink.records_at = "https://west-1.plant/records/"
    sink.deliver([record])
    until(lambda: subscriber.heard, "the arrival of the record")
    (found,) = subscriber.of("lineside/west-1/verdict")
    assert found["url"] == f"https://west-1.plant/records/{record.id}"


def test_records_and_state_are_published_to_be_acknowledged(
    sink: MqttSink, subscriber: Subscriber, records: Records
) -> None:
    sink.deliver(records(2))
    sink.announce({})
    until(lambda: len(subscriber.heard) == 3, "the arrival of two records and the state")
    assert subscriber.qos == {1}


def test_an_event_is_published_under_a_topic_of_its_own(
    sink: MqttSink, subscriber: Subscriber
) -> None:
    event = {"type": "quality.signal", "id": "west-1-event-7", "data": {"test": 1}}
    sink.notify(event)
    until(lambda: subscriber.heard, "the event")
    assert subscriber.heard == [("lineside/west-1/event", event, False)]


def test_state_is_retained_for_those_who_come_later(sink: MqttSink, broker: Mosquitto) -> None:
    sink.announce({"ready": True, "model": "cells/3"})
    with closing(Subscriber(broker, "late")) as late:
        until(lambda: late.heard, "the state")
    state = {"online": True, "ready": True, "model": "cells/3"}
    assert late.heard == [("lineside/west-1/state", state, True)]


def test_station_that_ends_is_announced_as_offline(sink: MqttSink, subscriber: Subscriber) -> None:
    sink.announce({})
    sink.close()
    until(lambda: len(subscriber.heard) == 2, "the farewell")
    assert subscriber.of("lineside/west-1/state") == [{"online": True}, {"online": False}]


def test_broker_reports_a_station_that_died_as_offline(
    broker: Mosquitto, subscriber: Subscriber
) -> None:
    network = Relay(broker.port)
    with closing(config(broker, port=network.port).open("west-1", Clock())) as sink:
        sink.announce({})
        network.cut()
        until(lambda: len(subscriber.heard) == 2, "the last will")
    assert subscriber.of("lineside/west-1/state") == [{"online": True}, {"online": False}]


def test_state_is_announced_again_to_a_broker_that_forgot_it(
    sink: MqttSink, broker: Mosquitto
) -> None:
    sink.announce({"ready": True})
    broker.kill()
    for file in broker.folder.glob("*.db*"):
        file.unlink()
    broker.start()
    with closing(Subscriber(broker)) as back:
        until(lambda: back.of("lineside/west-1/state"), "the state")
        assert back.of("lineside/west-1/state")[0] == {"online": True, "ready": True}


def test_broker_that_is_away_is_an_outage_and_its_return_needs_no_restart(
    sink: MqttSink, broker: Mosquitto, records: Records
) -> None:
    sink.deliver(records(1))
    broker.kill()
    for _ in range(2):
        with pytest.raises(SinkDown, match=f"broker localhost:{broker.port}: "):
            sink.deliver(records(1))
    broker.start()
    sink.deliver(records(1))


def test_subscriber_hears_every_record_through_kills_and_none_in_two_versions(
    broker: Mosquitto, tmp_path: Path
) -> None:
    clock, settings = Clock(), config(broker)
    ledger = Ledger(tmp_path / "ledger.sqlite", "west-1", {"mqtt": tuple(Verdict)})
    dispatcher = Dispatcher(settings, ledger, clock, lambda: {"ready": True})
    heartbeat = Heartbeat(clock)
    worker = threading.Thread(target=dispatcher.run, args=(heartbeat,))
    worker.start()
    closed: dict[str, str] = {}

    def judge(n: int) -> None:
        at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        for _ in range(n):
            serial = f"part-{len(closed)}"
            identity = ledger.open_record(at, serial)
            ledger.close_record(
                Record(identity, "west-1", at.isoformat(), serial, Verdict.FAIL, "")
            )
            closed[identity] = serial
            dispatcher.nudge()

    with closing(Subscriber(broker)) as mes:

        def heard() -> list[dict[str, Any]]:
            return mes.of("lineside/west-1/verdict")

        for _ in range(2):
            judge(300)
            until(
                lambda: {r["id"] for r in heard()} >= set(closed),
                "the arrival of the records so far",
            )
            # Else it would not know its subscriber any more, nor keep anything for it: what
            # a broker acknowledges and then loses is what `lineside outbox --replay` is for.
            broker.save()
            broker.kill()
            judge(50)
            until(lambda: not dispatcher.status.up, "the outage")
            broker.start()
        until(lambda: {r["id"] for r in heard()} >= set(closed), "the arrival of all records")
        arrived = heard()
    heartbeat.stop()
    worker.join(PATIENCE_S)
    assert not worker.is_alive()
    assert {r["id"]: r["serial"] for r in arrived} == closed
    versions = Counter(
        r["id"] for r in {json.dumps(r, sort_keys=True): r for r in arrived}.values()
    )
    assert set(versions.values()) == {1}
    first = list(dict.fromkeys(r["id"] for r in arrived))
    assert first == sorted(first)
    assert dispatcher.idle
    ledger.close()


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    settings = Config.model_validate({"type": "mqtt", "broker": {"host": "localhost"}})
    with pytest.raises(MissingExtra, match=r"sink mqtt needs the package paho-mqtt.*\[mqtt\]"):
        settings.open("west-1", Clock())
