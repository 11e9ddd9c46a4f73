"""Reloads, restarts and outages while a PLC publishes a trigger for each part, 5 a second."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.daemon.net.broker import Broker
from pipeline.daemon.net.mqtt import BrokerAway, MqttConnection
from pipeline.ledger.listening import NO_WORD
from tests.daemon.broker import Mosquitto
from tests.daemon.servers.mjpeg import Answer, Server
from tests.faults.conftest import JUDGED, SOAK, Plant, Running, eventually
from tests.faults.test_cameras import Belt

pytestmark = pytest.mark.slow

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install '.[mqtt]'")

RELOADS = 200 if SOAK else 3
EVERY_S = 0.2
TOPIC = "west-1/part"


class CountingBelt(Belt):
    """A camera that counts who connects to it."""

    connections = 0

    def __call__(self, answer: Answer) -> None:
        self.connections += 1
        super().__call__(answer)


class Gateway:
    """Publishes a serial each 0.2 s, and again until the broker has acknowledged it."""

    def __init__(self, broker: Mosquitto) -> None:
        self.published: list[str] = []
        self._place = Broker(host="localhost", port=broker.port)

    def publish(self, serial: str) -> None:
        """Returns once the broker has it."""

        def acknowledged() -> bool:
            connection = MqttConnection(self._place, "gateway", "a test")
            try:
                connection.open(5)
                connection.publish([(TOPIC, serial.encode())], 5)
            except BrokerAway:
                return False
            finally:
                connection.close()
            return True

        eventually(acknowledged, f"the broker has {serial}")
        self.published.append(serial)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Parts go by while the block runs."""
        over = threading.Event()

        def parts() -> None:
            n = len(self.published)
            while not over.wait(EVERY_S):
                self.publish(f"A-{n:05d}")
                n += 1

        thread = threading.Thread(target=parts)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    kept = ("persistence true", "autosave_on_changes true", "autosave_interval 1")
    with Mosquitto(tmp_path / "broker", *kept, f"persistence_location {tmp_path}/broker/") as it:
        yield it


def line(plant: Plant, broker: Mosquitto, camera: Server, **changes: object) -> Path:
    return plant.line(
        source={"type": "mjpeg", "url": f"http://127.0.0.1:{camera.server_port}/"},
        trigger={
            "type": "mqtt",
            "topic": TOPIC,
            "broker": {"host": "localhost", "port": broker.port},
        },
        **changes,
    )


def listening_station(plant: Plant, file: Path) -> Running:
    """A station that has subscribed: what is published from now on reaches it."""
    station = plant.start(file)
    subscribed = "SELECT 1 FROM listening WHERE ended = ''"
    station.wait_for(lambda: plant.book.ask(subscribed), "the station listens")
    return station


def wait_for_records(station: Running, plant: Plant, gateway: Gateway) -> None:
    """Wait until each part that was published has its record."""

    def recorded() -> bool:
        serials = {serial for (serial,) in plant.book.ask("SELECT serial FROM records")}
        return serials >= set(gateway.published)

    station.wait_for(recorded, "a record of each message")


def test_no_message_is_without_a_record_across_reloads_and_the_camera_stays_connected(
    plant: Plant, broker: Mosquitto
) -> None:
    gateway, belt = Gateway(broker), CountingBelt()
    with Server(belt) as camera:
        file = line(plant, broker, camera)
        station = listening_station(plant, file)
        with gateway.publishing():
            station.wait_for_more(3)
            for n in range(RELOADS):
                line(plant, broker, camera, health={"frozen_after": 50 + n % 2})
                station.process.send_signal(signal.SIGHUP)
                station.wait_for_words("line reloaded from", n + 1)
                station.wait_for_more(1)
        wait_for_records(station, plant, gateway)
        found = plant.audit(file)
        station.end()
        assert belt.connections == 1
    assert len(plant.book.ask("SELECT serial FROM records")) == len(gateway.published)
    starting = "the station was starting; the broker kept no messages for it"
    assert [n["why"] for n in found["not_listening"]] == [starting]
    assert plant.book.count(JUDGED) > 0


def test_messages_of_a_station_that_was_killed_are_recorded_as_late_when_it_is_back(
    plant: Plant, broker: Mosquitto
) -> None:
    gateway = Gateway(broker)
    with Server(Belt()) as camera:
        file = line(plant, broker, camera)
        station = listening_station(plant, file)
        gateway.publish("before")
        station.wait_for_more(1)
        station.kill()
        for serial in ("away-1", "away-2"):
            gateway.publish(serial)
        station = plant.start(file)
        late = "reason LIKE 'late: %' AND serial LIKE 'away-%'"
        station.wait_for(lambda: plant.book.count(late) == 2, "the records of what came meanwhile")

        def judged() -> bool:
            gateway.publish("after")
            return plant.book.count(f"serial = 'after' AND {JUDGED}") > 0

        station.wait_for(judged, "a verdict again")
        found = plant.audit(file)
        station.end()
    reasons = [n["why"] for n in found["not_listening"]]
    assert NO_WORD in reasons
    assert reasons[-1] == "the station was starting; the broker kept the messages for it"
    assert plant.book.count("serial = 'before'") == 1


def test_messages_of_a_broker_that_was_killed_have_their_records(
    plant: Plant, broker: Mosquitto
) -> None:
    gateway = Gateway(broker)
    with Server(Belt()) as camera:
        file = line(plant, broker, camera)
        station = listening_station(plant, file)
        with gateway.publishing():
            station.wait_for_more(3)
            broker.kill()
            station.wait_for_words("no triggers come")
            broker.start()
            station.wait_for_more(3)
        wait_for_records(station, plant, gateway)
        found = plant.audit(file)
        station.end()
    reasons = [n["why"] for n in found["not_listening"]]
    assert any("the broker kept the messages for it" in why for why in reasons)
