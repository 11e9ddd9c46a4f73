"""A trigger that comes over MQTT, from a real broker."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.daemon.net.mqtt import Broker, MqttConnection
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.triggers import Call
from pipeline.daemon.triggers import mqtt as module
from pipeline.daemon.triggers.mqtt import Config, MqttTrigger, serial
from pipeline.errors import ConfigError, MissingExtra, SourceLost
from pipeline.testing import FakeClock
from tests.daemon.broker import Mosquitto, passwords
from tests.daemon.waiting import until

DEADLINE_S = 10.0

pytest.importorskip("paho.mqtt")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", "max_queued_messages 0") as started:
        yield started


def config(port: int, **broker: object) -> Config:
    settings = {"host": "127.0.0.1", "port": port, **broker}
    return Config.model_validate({"type": "mqtt", "broker": settings, "topic": "line/part"})


class Listening:
    """A trigger in a thread, called again whenever it is lost, as the station does."""

    def __init__(self, trigger: MqttTrigger) -> None:
        self.calls: list[Call] = []
        self.alarms: list[str] = []
        self.connections = 0
        self._heartbeat = Heartbeat(Clock())
        self._trigger = trigger
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._heartbeat.stop()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def wait_for(self, condition: Callable[[], object]) -> None:
        until(condition, "what the test waits for", DEADLINE_S)

    def hears(self, broker: Broker) -> None:
        """Wait until it is subscribed."""
        n = len(self.calls)

        def heard() -> bool:
            publish(broker, "hello")
            return len(self.calls) > n

        self.wait_for(heard)

    @property
    def serials(self) -> list[str]:
        return [c.serial for c in self.calls if c.serial != "hello"]

    def _listen(self) -> None:
        while not self._heartbeat.stopping:
            try:
                for call in self._trigger.calls(self._heartbeat):
                    self.calls.append(call)
            except SourceLost as lost:
                self.alarms.append(str(lost))
                self._heartbeat.wait(0.05)


def publish(broker: Broker, *payloads: str | bytes, retain: bool = False) -> None:
    """Publish from a client of its own; returns once the broker has acknowledged."""
    connection = MqttConnection(broker, "publisher", "a test")
    connection.open(DEADLINE_S)
    messages = [("line/part", p.encode() if isinstance(p, str) else p) for p in payloads]
    connection.publish(messages, DEADLINE_S, retain=retain)
    connection.close()


@pytest.mark.slow
def test_each_message_is_a_call_with_its_serial(broker: Mosquitto) -> None:
    with Listening(config(broker.port).open(Clock())) as listening:
        listening.hears(config(broker.port).broker)
        publish(
            config(broker.port).broker, "A-17", '{"serial": "A-18"}', '{"serial": 19}', "", b"\xff"
        )
        listening.wait_for(lambda: len(listening.serials) == 5)
    assert listening.serials == ["A-17", "A-18", "19", "", "\\xff"]


@pytest.mark.slow
def test_a_retained_message_triggers_nothing(broker: Mosquitto) -> None:
    publish(config(broker.port).broker, "old", retain=True)
    with Listening(config(broker.port).open(Clock())) as listening:
        listening.hears(config(broker.port).broker)
    assert listening.serials == []


@pytest.mark.slow
def test_a_worker_that_hangs_and_the_one_in_its_place_do_not_both_trigger(
    broker: Mosquitto,
) -> None:
    trigger = config(broker.port).open(Clock())
    hung = trigger.calls(Heartbeat(Clock()))
    subscribed = threading.Event()

    def say_hello() -> None:
        while not subscribed.wait(0.05):
            publish(config(broker.port).broker, "hello")

    thread = threading.Thread(target=say_hello, daemon=True)
    thread.start()
    assert next(hung).serial == "hello"
    subscribed.set()
    thread.join(DEADLINE_S)
    with Listening(trigger) as listening:
        listening.hears(config(broker.port).broker)
        publish(config(broker.port).broker, "A-1", "A-2")
        listening.wait_for(lambda: "A-2" in listening.serials)
    assert listening.serials == ["A-1", "A-2"]


@pytest.mark.slow
def test_it_comes_back_when_the_broker_does(broker: Mosquitto) -> None:
    trigger = config(broker.port).open(Clock())
    assert not trigger.connected
    with Listening(trigger) as listening:
        listening.wait_for(lambda: trigger.connected)
        broker.kill()
        listening.wait_for(lambda: len(listening.alarms) > 2)
        assert not trigger.connected
        broker.start()
        listening.wait_for(lambda: trigger.connected)
        listening.hears(config(broker.port).broker)
    assert "topic line/part: the connection broke" in listening.alarms[0]
    assert "Connection refused" in listening.alarms[-1]


@pytest.mark.slow
def test_a_wrong_password_is_named_and_the_right_one_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINE_PASSWORD", "wr0ng")
    (tmp_path / "password").write_text("s3cret\n")
    known = passwords(tmp_path / "broker", "qc", "s3cret")
    with Mosquitto(
        tmp_path / "broker", "allow_anonymous false", f"password_file {known}"
    ) as broker:
        wrong = config(broker.port, user="qc", password_env="LINE_PASSWORD").open(Clock())
        with pytest.raises(SourceLost, match="Not authorized") as lost:
            next(wrong.calls(Heartbeat(Clock())))
        assert "wr0ng" not in str(lost.value)
        right = config(broker.port, user="qc", password_file=tmp_path / "password")
        with Listening(right.open(Clock())) as listening:
            listening.hears(right.broker)
        assert listening.alarms == []


@pytest.mark.slow
def test_an_exception_in_a_callback_does_not_end_the_trigger(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = config(broker.port).open(Clock())

    def sometimes(payload: bytes) -> str:
        if payload == b"bad":
            raise RuntimeError("a bug")
        return serial(payload)

    monkeypatch.setattr(module, "serial", sometimes)
    with Listening(trigger) as listening:
        listening.hears(config(broker.port).broker)
        publish(config(broker.port).broker, "bad", "good")
        listening.wait_for(lambda: listening.serials)
    assert listening.serials == ["good"]
    assert listening.alarms == []
    assert "a bug" in caplog.text


@pytest.mark.slow
def test_parts_beyond_those_that_may_wait_are_calls_too_and_are_refused(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    trigger = config(broker.port).open(Clock())
    for n in range(5):
        trigger.received("line/part", b"A-%d" % n)
    with Listening(trigger) as listening:
        listening.wait_for(lambda: len(listening.calls) == 5)
        trigger.received("line/part", b"A-5")
        listening.wait_for(lambda: len(listening.calls) == 6)
    calls = sorted((c.serial, c.refused) for c in listening.calls)
    beyond = ("", "overload: 2 triggers waited already")
    assert calls == [beyond] * 3 + [("A-0", ""), ("A-1", ""), ("A-5", "")]
    assert caplog.text.count("parts are NOT_INSPECTED, and their serials unknown") == 1


def test_what_waits_at_the_end_is_a_call_and_what_found_no_room_without_its_serial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    trigger = config(1883).open(FakeClock())
    for n in range(4):
        trigger.received("line/part", b"A-%d" % n)
    assert [call.serial for call in trigger.left()] == ["A-0", "A-1", "", ""]
    assert list(trigger.left()) == []


def test_two_who_ask_at_once_get_no_part_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 1)
    trigger = config(1883).open(FakeClock())
    for n in range(3):
        trigger.received("line/part", b"A-%d" % n)
    one, other = trigger.left(), trigger.left()
    assert len([next(one), next(other), *one, *other]) == 3


def test_parts_that_come_after_the_end_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    trigger = config(1883).open(FakeClock())
    assert list(trigger.left()) == []
    for n in range(5):
        trigger.received("line/part", b"A-%d" % n)
    trigger.close()
    assert "5 messages came too late to be recorded" in caplog.text


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"A-17\n", "A-17"),
        (b'{"part": "A-17"}', ""),
        (b'{"serial": ["A"]}', ""),
        (b"{broken", "{broken"),
        (b"a\x00b", "a\\x00b"),
        (b"x" * 300, "x" * 256),
        (b'{"serial": ' + b"[" * 100_000, ('{"serial": ' + "[" * 300)[:256]),
    ],
)
def test_a_serial_is_read_from_any_payload(payload: bytes, expected: str) -> None:
    assert serial(payload) == expected


def test_a_missing_password_is_named_when_the_line_is_opened() -> None:
    with pytest.raises(ConfigError, match="environment variable NOT_SET_HERE is not set"):
        config(1883, user="qc", password_env="NOT_SET_HERE").open(FakeClock())


def test_without_paho_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtra, match=r"'\.\[mqtt\]'"):
        config(1883).open(FakeClock())
