"""A broker that is killed, or refuses our login, delays records and loses none of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.daemon.broker import Mosquitto, passwords
from tests.daemon.subscriber import Subscriber
from tests.faults.asking import Client, free_port
from tests.faults.conftest import JUDGED, SOAK, Plant, Running, eventually

pytestmark = pytest.mark.slow

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install '.[mqtt]'")

KILLS = 10 if SOAK else 1
PASSWORD = "right-horse-8F2k"  # words that nothing else in a log is made of
WRONG = "wrong-staple-Q7x1"
STATE = "lineside/plant/west-1/state"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with TLS and passwords that passes on at once, and remembers who subscribed."""
    folder = tmp_path / "broker"
    known = passwords(folder, "mes", PASSWORD)
    started = Mosquitto(
        folder,
        *("persistence true", f"persistence_location {folder}/", "max_inflight_messages 0"),
        *("allow_anonymous false", f"password_file {known}"),
        tls=True,
    )
    yield started
    started.kill()


def place(broker: Mosquitto, variable: str, ca: str = "ca.crt") -> dict[str, object]:
    """Where the broker is; the password stands in an environment variable."""
    return {
        "host": "localhost",
        "port": broker.port,
        "user": "mes",
        "ca_file": str(broker.folder / ca),
        "password_env": variable,
    }


def sink(broker: Mosquitto, name: str, ca: str = "ca.crt") -> dict[str, object]:
    """A sink whose topics begin with its name; the password stands in a variable of that name."""
    return {
        "type": "mqtt",
        "name": name,
        "prefix": f"lineside/{name}",
        "broker": place(broker, name.upper(), ca),
        "timeout_s": 1,
    }


def end(station: Running) -> None:
    """As every station ends; and its log tells nobody a password."""
    station.end()
    assert PASSWORD not in station.logged
    assert WRONG not in station.logged


@pytest.fixture
def heard(broker: Mosquitto) -> Iterator[Callable[[str], list[str]]]:
    """The records that a persistent subscriber has heard of from a sink, each once."""
    ca_file = broker.folder / "ca.crt"
    with closing(Subscriber(broker, "mes", PASSWORD, ca_file)) as subscriber:
        broker.save()  # that it subscribed; a kill would have the broker forget it

        def ids(name: str) -> list[str]:
            delivered = subscriber.of(f"lineside/{name}/west-1/verdict")
            return list(dict.fromkeys(record["id"] for record in delivered))

        yield ids


def test_a_broker_killed_while_parts_come_loses_no_record(
    plant: Plant,
    broker: Mosquitto,
    heard: Callable[[str], list[str]],
    recovered: Callable[[str, float], None],
) -> None:
    file = plant.line(sinks=[sink(broker, "plant")])
    station = plant.inspecting(file, env={"PLANT": PASSWORD})
    slowest = 0.0

    def more(n: int) -> Callable[[], bool]:
        known = len(heard("plant"))
        return lambda: len(heard("plant")) >= known + n

    def taken_and_not_heard() -> set[str]:
        return set(plant.book.delivered("plant")) - set(heard("plant"))

    down, up = "sink plant is down", "sink plant is up again"
    for _ in range(KILLS):
        station.wait_for(more(5), "records arrive")
        with station.looking_away():
            eventually(lambda: not taken_and_not_heard(), "all that was delivered arrives")
        station.wait_for_more(1)
        outages = station.logged.count(down)
        broker.kill()
        station.wait_for_words(down, outages + 1)
        station.wait_for_more()
        broker.start()
        started = time.monotonic()
        station.wait_for(more(1), "records arrive again")
        slowest = max(slowest, time.monotonic() - started)
    station.wait_for_none_due("plant")
    # A broker may acknowledge a record and be killed before it has passed it on.
    eventually(lambda: len(taken_and_not_heard()) <= KILLS, "all but one a kill arrives")
    plant.send_again(file, "plant")
    station.wait_for_none_due("plant")
    end(station)
    recovered(f"{KILLS} kills of mosquitto; a record arrives", slowest)
    eventually(lambda: not taken_and_not_heard(), "all that was delivered arrives")
    assert plant.book.due("plant") == 0
    assert station.logged.count(up) == station.logged.count(down)  # a slow machine has more of them


def keep_out(plant: Plant, broker: Mosquitto) -> None:
    """Run a station with a sink of a wrong password and one that trusts another authority."""
    sinks = [sink(broker, "guest"), sink(broker, "stranger", "other.crt")]
    station = plant.inspecting(plant.line(sinks=sinks), env={"GUEST": WRONG, "STRANGER": PASSWORD})
    for name, why in (("guest", "Not authorized"), ("stranger", "certificate")):
        down = f"sink {name} is down: broker localhost:{broker.port}: "
        station.wait_for_words(down)
        assert why in station.logged.split(down)[1].splitlines()[0]
    station.wait_for_more()
    end(station)
    for name in ("guest", "stranger"):
        assert plant.book.delivered(name) == []
        assert plant.book.due(name) == plant.book.closed


@pytest.mark.skipif(SOAK, reason="the next test begins with this")
def test_records_wait_where_the_broker_does_not_let_us_in(plant: Plant, broker: Mosquitto) -> None:
    keep_out(plant, broker)


@pytest.mark.soak
def test_records_wait_where_the_broker_does_not_let_us_in_and_follow_once_it_does(
    plant: Plant,
    broker: Mosquitto,
    heard: Callable[[str], list[str]],
    recovered: Callable[[str, float], None],
) -> None:
    keep_out(plant, broker)
    sinks = [sink(broker, "guest"), sink(broker, "stranger")]
    right = plant.start(plant.line(sinks=sinks), env={"GUEST": PASSWORD, "STRANGER": PASSWORD})
    started = time.monotonic()
    right.wait_for(lambda: heard("guest") and heard("stranger"), "records arrive")
    recovered("started with the right settings; records arrive", time.monotonic() - started)
    end(right)

    def all_of(name: str) -> bool:
        return heard(name) == plant.book.closed_ids

    for name in ("guest", "stranger"):
        eventually(partial(all_of, name), f"all arrive from {name}")


def test_a_station_that_is_killed_is_soon_known_to_be_offline(
    plant: Plant, broker: Mosquitto, recovered: Callable[[str, float], None]
) -> None:
    def listening() -> closing[Subscriber]:
        return closing(Subscriber(broker, "mes", PASSWORD, broker.folder / "ca.crt"))

    station = plant.start(plant.line(sinks=[sink(broker, "plant")]), env={"PLANT": PASSWORD})
    with listening() as there:
        station.wait_for(lambda: [s for s in there.of(STATE) if s["online"]], "it is online")
        station.kill()
        killed = time.monotonic()
        eventually(lambda: there.of(STATE)[-1] == {"online": False}, "its last will is heard")
        recovered("SIGKILL; its last will is heard", time.monotonic() - killed)
    with listening() as later:
        eventually(lambda: (STATE, {"online": False}, True) in later.heard, "the will is retained")
    assert PASSWORD not in station.logged


def test_each_message_of_a_gateway_is_a_part_with_its_serial(
    plant: Plant, broker: Mosquitto
) -> None:
    (plant.home / "parts" / "c_damaged.png").unlink()
    client = Client(free_port())
    file = plant.line(
        trigger={"type": "mqtt", "broker": place(broker, "PLC"), "topic": "plc/part"},
        http={"port": client.port, "open_on_loopback": True},
    )
    station = plant.start(file, env={"PLC": PASSWORD})
    station.wait_for(lambda: client.ready, "ready")
    assert plant.book.closed == 0
    serials = [f"A-{i}" for i in range(10)]
    with closing(Subscriber(broker, "mes", PASSWORD, broker.folder / "ca.crt")) as gateway:
        for serial in serials:
            gateway.client.publish("plc/part", serial, 1)
            judged = partial(plant.book.count, f"serial = ? AND {JUDGED}", serial)
            station.wait_for(judged, f"{serial} is judged")
    end(station)
    assert plant.book.ask("SELECT serial FROM records ORDER BY seq") == [(s,) for s in serials]
