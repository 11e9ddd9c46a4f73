"""One connection to a real mosquitto that is there, away, frozen, or refuses us."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.daemon.net.broker import Broker
from pipeline.daemon.net.mqtt import BrokerAway, MqttConnection, Received
from pipeline.errors import ConfigError, MissingExtra
from tests.daemon.broker import PATIENCE_S, Mosquitto, passwords
from tests.daemon.subscriber import Subscriber
from tests.daemon.waiting import until

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install '.[mqtt]'")

TOPIC = "lineside/west-1/verdict"
ONE = [(TOPIC, b'{"n": 1}')]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with TLS that knows one user, who may publish for west-1 only."""
    folder = tmp_path / "guarded"
    known = passwords(folder, "station", "s3cret")
    (folder / "acl").write_text("user station\ntopic readwrite lineside/west-1/#\n")
    (folder / "acl").chmod(0o600)
    access = (f"password_file {known}", f"acl_file {folder / 'acl'}")
    with Mosquitto(folder, "allow_anonymous false", *access, tls=True) as started:
        yield started


def connection(broker: Mosquitto, **named: Any) -> MqttConnection:
    place = Broker(host="localhost", port=broker.port)
    return MqttConnection(place, "station", "a test", **named)


@pytest.mark.slow
def test_messages_are_published_to_be_acknowledged(broker: Mosquitto) -> None:
    with closing(Subscriber(broker)) as listening, closing(connection(broker)) as ours:
        ours.open(PATIENCE_S)
        ours.publish([(TOPIC, b'{"n": %d}' % n) for n in range(100)], PATIENCE_S)
        until(lambda: len(listening.heard) == 100, "the arrival of all messages")
        assert listening.of(TOPIC) == [{"n": n} for n in range(100)]
        assert listening.qos == {1}


@pytest.mark.slow
def test_a_connection_that_ends_without_a_farewell_leaves_its_will(broker: Mosquitto) -> None:
    with closing(Subscriber(broker)) as listening:
        ours = connection(broker, will=(TOPIC, b'{"online": false}'))
        ours.open(PATIENCE_S)
        ours.close()
        until(lambda: listening.heard, "the will")
        assert listening.of(TOPIC) == [{"online": False}]
        assert listening.qos == {1}


@pytest.mark.slow
def test_a_farewell_is_published_instead_of_the_will(broker: Mosquitto) -> None:
    ours = connection(broker, will=(TOPIC, b'{"died": true}'))
    ours.open(PATIENCE_S)
    with closing(Subscriber(broker)) as listening:
        ours.close(farewell=(TOPIC, b'{"online": false}'))
        with closing(connection(broker)) as other:
            other.open(PATIENCE_S)
            other.publish(ONE, PATIENCE_S)
        until(lambda: {"n": 1} in listening.of(TOPIC), "the message after the farewell")
        assert listening.of(TOPIC) == [{"online": False}, {"n": 1}]


@pytest.mark.slow
def test_a_broker_that_is_away_is_named_and_its_return_needs_no_restart(
    broker: Mosquitto,
) -> None:
    with closing(connection(broker)) as ours:
        ours.open(PATIENCE_S)
        broker.kill()
        until(lambda: not ours.up, "the end of the connection")
        with pytest.raises(BrokerAway, match=f"broker localhost:{broker.port}: Connection refused"):
            ours.open(PATIENCE_S)
        broker.start()
        ours.open(PATIENCE_S)
        ours.publish(ONE, PATIENCE_S)


@pytest.mark.slow
def test_a_broker_that_hangs_is_given_up_in_time(broker: Mosquitto) -> None:
    assert broker.process is not None
    with closing(connection(broker)) as ours:
        ours.open(PATIENCE_S)
        broker.process.send_signal(signal.SIGSTOP)
        with pytest.raises(BrokerAway, match=r"3 of 3 messages not acknowledged within 0\.5 s"):
            ours.publish(ONE * 3, 0.5)
        with pytest.raises(BrokerAway, match=r"no answer within 0\.5 s"):
            ours.open(0.5)
        broker.process.send_signal(signal.SIGCONT)
        ours.open(PATIENCE_S)
        ours.publish(ONE, PATIENCE_S)


@pytest.mark.slow
def test_a_callback_that_raises_does_not_end_the_connection(broker: Mosquitto) -> None:
    heard: list[bytes] = []

    def listen(received: Received) -> None:
        heard.append(received.payload)
        raise RuntimeError("a bug")

    named = {"on_connect": lambda client: client.subscribe("t", 1), "on_message": listen}
    with closing(connection(broker, **named)) as ours:
        ours.open(PATIENCE_S)
        for n in range(3):
            ours.publish([("t", b"%d" % n)], PATIENCE_S)
        until(lambda: len(heard) == 3, "the arrival of all three messages")
        assert ours.up


def test_nothing_is_published_before_there_is_a_connection() -> None:
    with pytest.raises(BrokerAway, match=r"broker a:1883: not connected"):
        MqttConnection(Broker(host="a"), "station", "a test").publish(ONE, PATIENCE_S)


@pytest.mark.slow
def test_tls_and_a_password_from_a_file_open_a_guarded_broker(guarded: Mosquitto) -> None:
    (guarded.folder / "secret").write_text("s3cret\n")
    place = Broker(
        host="localhost",
        port=guarded.port,
        ca_file=guarded.folder / "ca.crt",
        user="station",
        password_file=guarded.folder / "secret",
    )
    with closing(MqttConnection(place, "station", "a test")) as ours:
        ours.open(PATIENCE_S)
        ours.publish(ONE, PATIENCE_S)


@pytest.fixture
def refusal(guarded: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Publish with some settings changed; returns why that failed."""

    def fail(topic: str = TOPIC, password: str = "s3cret", **settings: Any) -> str:
        monkeypatch.setenv("MQTT_PASSWORD", password)
        ca: dict[str, Any] = {"ca_file": guarded.folder / "ca.crt"}
        who = {"user": "station", "password_env": "MQTT_PASSWORD"}
        place = {"host": "localhost", "port": guarded.port, **ca, **who, **settings}
        opened = MqttConnection(Broker.model_validate(place), "station", "a test")
        with closing(opened) as ours:
            try:
                ours.open(PATIENCE_S)
                ours.publish([(topic, b"{}")], PATIENCE_S)
            except BrokerAway as error:
                return str(error)
        pytest.fail("the broker took it")

    return fail


@pytest.mark.slow
def test_a_wrong_password_is_named_and_not_shown(refusal: Callable[..., str]) -> None:
    why = refusal(password="guess-me")
    assert "Not authorized" in why
    assert "guess-me" not in why


@pytest.mark.slow
def test_a_certificate_of_another_authority_is_not_trusted(
    refusal: Callable[..., str], guarded: Mosquitto
) -> None:
    why = refusal(ca_file=guarded.folder / "other.crt")
    assert "its certificate is not trusted" in why
    assert "check `ca_file`" in why


@pytest.mark.slow
def test_a_certificate_of_another_host_is_not_trusted(refusal: Callable[..., str]) -> None:
    assert "its certificate is not trusted" in refusal(host="127.0.0.1")


@pytest.mark.slow
def test_a_forbidden_topic_is_an_error_and_not_silence(refusal: Callable[..., str]) -> None:
    assert "Not authorized" in refusal(topic="lineside/east-2/verdict")


def test_a_missing_package_is_named_with_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtra, match=r"a test needs the package paho-mqtt.*'\.\[mqtt\]'"):
        MqttConnection(Broker(host="a"), "station", "a test")


@pytest.mark.slow
def test_paho_logs_no_error_when_a_broker_goes_away(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(connection(broker)) as ours:
        ours.open(PATIENCE_S)
        broker.kill()
        until(lambda: not ours.up, "the end of the connection")
    assert "Client is not connected" not in caplog.text


def test_a_missing_password_is_named_before_anything_is_sent() -> None:
    place = Broker(host="localhost", user="qc", password_env="NOT_SET_HERE")
    with pytest.raises(ConfigError, match="environment variable NOT_SET_HERE is not set"):
        MqttConnection(place, "station", "a test")


def test_a_file_that_is_not_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nothing")
    place = Broker(host="localhost", ca_file=tmp_path / "ca.crt")
    with pytest.raises(ConfigError, match=r"ca\.crt cannot be used as certificate or key"):
        MqttConnection(place, "station", "a test")


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = Broker(host="localhost", ca_file=tmp_path / "ca.crt")
    with pytest.raises(ConfigError, match=r"ca\.crt cannot be used .*No such file"):
        MqttConnection(place, "station", "a test")
