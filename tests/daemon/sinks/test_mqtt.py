"""Records to a real mosquitto that is there, away, frozen, or refuses us."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.net.mqtt import Broker, MqttConnection
from pipeline.daemon.outbox.dispatcher import Dispatcher
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sinks import SinkDown, message
from pipeline.daemon.sinks.mqtt import Config, MqttSink
from pipeline.errors import ConfigError, MissingExtra
from pipeline.ledger.ledger import Ledger
from tests.daemon.broker import PATIENCE_S, Mosquitto, passwords
from tests.daemon.subscriber import Subscriber

pytestmark = pytest.mark.slow

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install '.[mqtt]'")

Records = Callable[[int], list[Record]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(
        tmp_path / "broker",
        *("persistence true", f"persistence_location {tmp_path / 'broker'}/"),
        *("autosave_interval 1", "max_queued_messages 0"),
    )
    yield started
    started.kill()


def config(broker: Mosquitto, timeout_s: float = 5, **settings: Any) -> Config:
    place = {"host": "localhost", "port": broker.port, **settings}
    return Config.model_validate({"type": "mqtt", "broker": place, "timeout_s": timeout_s})


@pytest.fixture
def sink(broker: Mosquitto) -> Iterator[MqttSink]:
    with closing(config(broker).open("west-1", Clock())) as opened:
        yield opened


def until(done: Callable[[], object], what: str) -> None:
    """Wait for something that happens in another thread or process."""
    until_s = monotonic() + PATIENCE_S
    while not done():
        assert monotonic() < until_s, f"never: {what}"
        sleep(0.02)


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    with closing(Subscriber(broker)) as listening:
        yield listening


def test_records_arrive_in_order_under_the_stations_topic(
    sink: MqttSink, subscriber: Subscriber, records: Records
) -> None:
    given = records(100)
    sink.deliver(given)
    until(lambda: len(subscriber.heard) == 100, "all records")
    assert subscriber.of("lineside/west-1/verdict") == [message(r) for r in given]


def test_records_and_state_are_published_to_be_acknowledged(
    sink: MqttSink, subscriber: Subscriber, records: Records
) -> None:
    sink.deliver(records(2))
    sink.announce({})
    sink._connection.close()  # without a word: the last will comes too
    until(lambda: len(subscriber.heard) == 4, "two records, the state and the last will")
    assert subscriber.qos == {1}


def test_state_is_retained_for_whoever_comes_later(sink: MqttSink, broker: Mosquitto) -> None:
    sink.announce({"ready": True, "model": "cells/3"})
    with closing(Subscriber(broker, "late")) as late:
        until(lambda: late.heard, "the state")
    state = {"online": True, "ready": True, "model": "cells/3"}
    assert late.heard == [("lineside/west-1/state", state, True)]


def test_station_that_ends_says_so(sink: MqttSink, subscriber: Subscriber) -> None:
    sink.announce({})
    sink.close()
    until(lambda: len(subscriber.heard) == 2, "the farewell")
    assert subscriber.of("lineside/west-1/state") == [{"online": True}, {"online": False}]


def test_broker_says_it_for_a_station_that_died(sink: MqttSink, subscriber: Subscriber) -> None:
    sink.announce({})
    sink._connection.close()  # without a word
    until(lambda: len(subscriber.heard) == 2, "the last will")
    assert subscriber.of("lineside/west-1/state") == [{"online": True}, {"online": False}]


def test_state_is_told_again_to_a_broker_that_forgot_it(sink: MqttSink, broker: Mosquitto) -> None:
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


def test_broker_that_hangs_is_an_outage_in_time(broker: Mosquitto, records: Records) -> None:
    assert broker.process is not None
    with closing(config(broker, timeout_s=0.5).open("west-1", Clock())) as sink:
        sink.deliver(records(1))
        broker.process.send_signal(signal.SIGSTOP)
        with pytest.raises(SinkDown, match="3 of 3 messages not acknowledged within"):
            sink.deliver(records(3))
        with pytest.raises(SinkDown, match="no answer within"):
            sink.deliver(records(3))
        broker.process.send_signal(signal.SIGCONT)
        until(lambda: delivered(sink, records), "a delivery after the broker's return")


def delivered(sink: MqttSink, records: Records) -> bool:
    try:
        sink.deliver(records(1))
    except SinkDown:
        return False
    return True


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with TLS that knows one user, who may publish verdicts of west-1 only."""
    folder = tmp_path / "guarded"
    known = passwords(folder, "station", "s3cret")
    (folder / "acl").write_text("user station\ntopic readwrite lineside/west-1/#\n")
    (folder / "acl").chmod(0o600)
    started = Mosquitto(
        folder,
        *("allow_anonymous false", f"password_file {known}", f"acl_file {folder / 'acl'}"),
        tls=True,
    )
    yield started
    started.kill()


def test_tls_and_password_from_a_file(guarded: Mosquitto, records: Records) -> None:
    (guarded.folder / "secret").write_text("s3cret\n")
    who: dict[str, Any] = {"user": "station", "password_file": guarded.folder / "secret"}
    settings = config(guarded, ca_file=guarded.folder / "ca.crt", **who)
    with closing(settings.open("west-1", Clock())) as sink:
        sink.deliver(records(2))


@pytest.fixture
def wrong(guarded: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Deliver with some settings changed; returns why that failed."""

    def fail(station: str = "west-1", password: str = "s3cret", **settings: Any) -> str:
        monkeypatch.setenv("MQTT_PASSWORD", password)
        ca: dict[str, Any] = {"ca_file": guarded.folder / "ca.crt"}
        who = {"user": "station", "password_env": "MQTT_PASSWORD"}
        opened = config(guarded, **{**ca, **who, **settings}).open(station, Clock())
        with closing(opened) as sink, pytest.raises(SinkDown) as caught:
            sink.deliver([Record("id", station, "", "", Verdict.PASS, "")])
        return str(caught.value)

    return fail


def test_wrong_password_is_named_and_not_shown(wrong: Callable[..., str]) -> None:
    said = wrong(password="guess-me")
    assert "Not authorized" in said
    assert "guess-me" not in said


def test_certificate_of_another_authority_is_not_trusted(
    wrong: Callable[..., str], guarded: Mosquitto
) -> None:
    said = wrong(ca_file=guarded.folder / "other.crt")
    assert "its certificate is not trusted" in said
    assert "check `ca_file`" in said


def test_certificate_of_another_host_is_not_trusted(wrong: Callable[..., str]) -> None:
    assert "its certificate is not trusted" in wrong(host="127.0.0.1")


def test_forbidden_topic_is_an_outage_and_not_silence(wrong: Callable[..., str]) -> None:
    assert "Not authorized" in wrong(station="east-2")


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
            until(lambda: {r["id"] for r in heard()} >= set(closed), "the records so far")
            # Else it would not know its subscriber any more, nor keep anything for it: what
            # a broker acknowledges and then loses is what `lineside outbox --replay` is for.
            broker.save()
            broker.kill()
            judge(50)
            until(lambda: not dispatcher.status.up, "the outage")
            broker.start()
        until(lambda: {r["id"] for r in heard()} >= set(closed), "all records")
        told = heard()
    heartbeat.stop()
    worker.join(PATIENCE_S)
    assert not worker.is_alive()
    assert {r["id"]: r["serial"] for r in told} == closed
    versions = Counter(r["id"] for r in {json.dumps(r, sort_keys=True): r for r in told}.values())
    assert set(versions.values()) == {1}
    first = list(dict.fromkeys(r["id"] for r in told))
    assert first == sorted(first)
    assert dispatcher.idle
    ledger.close()


def test_callback_that_raises_does_not_end_the_connection(broker: Mosquitto) -> None:
    heard: list[bytes] = []

    def listen(_: str, payload: bytes) -> None:
        heard.append(payload)
        raise RuntimeError("a bug")

    place = Broker(host="localhost", port=broker.port)
    connection = MqttConnection(
        place, "t", "a test", on_connect=lambda c: c.subscribe("t", 1), on_message=listen
    )
    connection.open(5)
    for i in range(3):
        connection.publish([("t", str(i).encode())], 5)
    until(lambda: len(heard) == 3, "all three messages")
    assert connection.up
    connection.close()


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    settings = Config.model_validate({"type": "mqtt", "broker": {"host": "localhost"}})
    with pytest.raises(MissingExtra, match=r"sink mqtt needs the package paho-mqtt.*\[mqtt\]"):
        settings.open("west-1", Clock())


def test_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nothing")
    place = {"host": "localhost", "ca_file": tmp_path / "ca.crt"}
    with pytest.raises(ConfigError, match="cannot be used as certificate or key"):
        Config.model_validate({"type": "mqtt", "broker": place}).open("west-1", Clock())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"user": "a", "password_env": "B"}, "in the clear"),
        ({"password_env": "B", "tls": True}, "needs a `user`"),
        ({"user": "a", "password_env": "B", "password_file": "c", "tls": True}, "not both"),
        ({"key_file": "a"}, "needs a `cert_file`"),
    ],
)
def test_broker_that_cannot_be_meant_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Broker.model_validate({"host": "broker.plant", **settings})


def test_port_follows_from_encryption() -> None:
    assert Broker(host="a").address == "a:1883"
    assert Broker(host="a", tls=True).address == "a:8883"
    assert Broker(host="a", ca_file=Path("ca.crt"), port=9).address == "a:9"
