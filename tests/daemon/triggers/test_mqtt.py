"""A trigger that comes over MQTT, from a real broker."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.daemon.net.broker import Broker
from pipeline.daemon.net.mqtt import MqttConnection
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
PERSISTENT = ("persistence true", "autosave_on_changes true", "autosave_interval 1")

pytest.importorskip("paho.mqtt")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", "max_queued_messages 0") as started:
        yield started


def config(port: int, **broker: object) -> Config:
    settings = {"host": "127.0.0.1", "port": port, **broker}
    return Config.model_validate({"type": "mqtt", "broker": settings, "topic": "line/part"})


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each trigger of a test is closed in the end: it keeps its connection between workers."""
    opened: list[MqttTrigger] = []
    open_for = Config.open_for

    def noted(self: Config, station: str, camera: str, clock: Clock) -> MqttTrigger:
        opened.append(open_for(self, station, camera, clock))
        return opened[-1]

    monkeypatch.setattr(Config, "open_for", noted)
    yield
    for trigger in opened:
        trigger.close()


class Listening:
    """A trigger in a thread, called again whenever it is lost, as the station does."""

    def __init__(self, trigger: MqttTrigger, *, records: bool = True) -> None:
        self._records = records
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

    def is_fresh_again(self, broker: Broker) -> None:
        """Wait until a call is to be judged."""

        def fresh() -> bool:
            self.hears(broker)
            return not self.calls[-1].refused

        self.wait_for(fresh)

    @property
    def refused(self) -> dict[str, str]:
        """Why not to judge, by serial."""
        return {c.serial: c.refused for c in self.calls if c.serial != "hello"}

    def record(self) -> None:
        """Record what has come, and from now on what comes."""
        self._records = True
        for call in list(self.calls):
            call.recorded()

    @property
    def serials(self) -> list[str]:
        return [c.serial for c in self.calls if c.serial != "hello"]

    def _listen(self) -> None:
        while not self._heartbeat.stopping:
            try:
                for call in self._trigger.calls(self._heartbeat):
                    self.calls.append(call)
                    if self._records:
                        call.recorded()
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

    def greet() -> None:
        while not subscribed.wait(0.05):
            publish(config(broker.port).broker, "hello")

    thread = threading.Thread(target=greet, daemon=True)
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
def test_what_is_published_while_the_station_is_away_is_a_call_that_is_too_late_to_be_judged(
    broker: Mosquitto,
) -> None:
    settings = config(broker.port)
    with closing(settings.open(Clock())) as trigger, Listening(trigger) as listening:
        listening.hears(settings.broker)
    publish(settings.broker, "A-1", "A-2")
    with closing(settings.open(Clock())) as trigger, Listening(trigger) as listening:
        listening.wait_for(lambda: len(listening.serials) == 2)
        listening.is_fresh_again(settings.broker)
    assert listening.refused == {
        serial: "late: the message may have waited at the broker (the station was not connected)"
        for serial in ("A-1", "A-2")
    }


@pytest.mark.slow
def test_a_message_without_a_record_comes_again_after_a_crash(broker: Mosquitto) -> None:
    settings = config(broker.port)
    crashed = settings.open(Clock())
    with closing(crashed), Listening(crashed, records=False) as listening:
        listening.wait_for(lambda: crashed.connected)
        publish(settings.broker, "A-1")
        listening.wait_for(lambda: listening.serials)
    with closing(settings.open(Clock())) as trigger, Listening(trigger) as listening:
        listening.wait_for(lambda: listening.serials)
    assert listening.serials == ["A-1"]
    assert "sent before" in listening.refused["A-1"]


@pytest.mark.slow
def test_a_message_comes_once_though_the_broker_sends_it_again(tmp_path: Path) -> None:
    with Mosquitto(
        tmp_path / "broker", *PERSISTENT, f"persistence_location {tmp_path / 'broker'}/"
    ) as broker:
        settings = config(broker.port)
        trigger = settings.open(Clock())
        with closing(trigger), Listening(trigger, records=False) as listening:
            listening.wait_for(lambda: trigger.connected)
            publish(settings.broker, "recorded", "waiting")
            listening.wait_for(lambda: len(listening.serials) == 2)
            broker.kill()
            listening.wait_for(lambda: listening.alarms)
            listening.calls[0].recorded()  # the acknowledgement cannot be sent
            broker.start()
            listening.wait_for(lambda: trigger.connected)
            listening.calls[1].recorded()
            publish(settings.broker, "next")
            listening.wait_for(lambda: "next" in listening.serials)
    assert listening.serials == ["recorded", "waiting", "next"]


@pytest.mark.slow
def test_while_many_messages_have_no_record_yet_further_ones_may_have_waited(
    broker: Mosquitto,
) -> None:
    settings = config(broker.port)
    names = [f"A-{n}" for n in range(40)]
    trigger = settings.open(Clock())
    with closing(trigger), Listening(trigger, records=False) as listening:
        listening.wait_for(lambda: trigger.connected)
        publish(settings.broker, *names)
        listening.wait_for(lambda: len(listening.serials) >= module.HELD_BACK_FROM)
        listening.record()
        listening.wait_for(lambda: len(listening.serials) == len(names))
        listening.is_fresh_again(settings.broker)
    judged = [c.serial for c in listening.calls if c.serial in names and not c.refused]
    assert judged == names[: module.HELD_BACK_FROM - 1]
    assert "10 before it were not recorded yet" in listening.refused["A-30"]


@pytest.mark.slow
def test_a_broker_that_forgot_the_session_is_an_error_in_the_log(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = config(broker.port).open(Clock())
    with closing(trigger), Listening(trigger) as listening:
        listening.wait_for(lambda: trigger.connected)
        broker.kill()
        listening.wait_for(lambda: listening.alarms)
        broker.start()
        listening.wait_for(lambda: trigger.connected)
    assert "the broker has not kept the session" in caplog.text


@pytest.mark.slow
def test_two_stations_of_one_name_report_it_and_do_not_throw_each_other_out_without_end(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    elder, younger = (config(broker.port).open_for("west", "top", Clock()) for _ in range(2))
    with closing(elder), Listening(elder) as first:
        first.wait_for(lambda: elder.connected)
        with closing(younger), Listening(younger) as second:
            words = "is a second station running with this station's name?"
            first.wait_for(lambda: any(words in alarm for alarm in first.alarms + second.alarms))
            first.wait_for(lambda: elder.connected != younger.connected)
            takeovers = len(first.alarms) + len(second.alarms)
            first.wait_for(lambda: len(first.alarms) + len(second.alarms) > takeovers + 10)
            assert elder.connected != younger.connected  # the other one is left in peace
    assert 1 <= caplog.text.count("is ended again and again") <= 2


@pytest.mark.slow
def test_each_camera_has_its_own_session(broker: Mosquitto) -> None:
    settings = config(broker.port)
    left, right = (settings.open_for("west", name, Clock()) for name in ("left", "right"))
    with closing(left), closing(right), Listening(left) as one, Listening(right) as other:
        one.wait_for(lambda: left.connected and right.connected)
        publish(settings.broker, "A-1")
        one.wait_for(lambda: one.serials and other.serials)


@pytest.mark.slow
def test_a_new_worker_goes_on_with_the_connection_that_stands(broker: Mosquitto) -> None:
    settings = config(broker.port)
    with closing(settings.open(Clock())) as trigger:
        with Listening(trigger) as listening:
            listening.wait_for(lambda: trigger.connected)
        publish(settings.broker, "A-1")
        with Listening(trigger) as listening:
            listening.wait_for(lambda: listening.serials)
    assert listening.refused == {"A-1": ""}


@pytest.mark.slow
def test_a_message_after_the_end_waits_at_the_broker_for_the_next_start(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(broker.port)
    ending = settings.open(Clock())
    with Listening(ending) as listening:
        listening.wait_for(lambda: ending.connected)
    assert list(ending.left()) == []
    publish(settings.broker, "A-1")
    until(lambda: "the broker keeps the message" in caplog.text, "the message")
    ending.close()
    with Listening(settings.open(Clock())) as listening:
        listening.wait_for(lambda: listening.serials)
    assert listening.serials == ["A-1"]


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
