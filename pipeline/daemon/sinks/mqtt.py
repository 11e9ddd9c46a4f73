"""Records, events and the state of a station to an MQTT broker.

Their topics are `<prefix>/<station>/verdict`, `/event` and `/state`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.contracts.records import Record
from pipeline.daemon.net.broker import Broker
from pipeline.daemon.net.mqtt import BrokerAway, Message, MqttConnection
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sinks import Sink, SinkConfig, SinkDown, message

if TYPE_CHECKING:
    from paho.mqtt.client import Client


class Config(SinkConfig):
    """Settings of an MQTT sink."""

    type: Literal["mqtt"] = Field(description="mqtt")
    broker: Broker = Field(description="The MQTT broker, and how to log in to it.")
    prefix: str = Field(
        "lineside",
        pattern=r"^[^#+/\x00]+(/[^#+/\x00]+)*$",
        max_length=200,
        description="First part of the topics: <prefix>/<station>/verdict, "
        "<prefix>/<station>/state and <prefix>/<station>/event.",
    )

    def open(self, station: str, clock: Clock) -> MqttSink:
        """Read the password and the certificates; connecting is for later."""
        return MqttSink(self, station)


class MqttSink(Sink):
    """Publishes with QoS 1, records and events not retained, the state retained.

    An acknowledgement says that the broker took a message, not that it outlives a kill of the
    broker: `lineside outbox --replay` sends the records of a period once more.
    """

    def __init__(self, config: Config, station: str) -> None:
        self._config = config
        self._verdict = f"{config.prefix}/{station}/verdict"
        self._state = f"{config.prefix}/{station}/state"
        self._event = f"{config.prefix}/{station}/event"
        self._last: bytes | None = None
        self._connection = MqttConnection(
            config.broker,
            f"lineside-{station}-{config.outbox}",
            "sink mqtt",
            will=self._gone,
            on_connect=self._announce_again,
        )

    def deliver(self, records: Sequence[Record]) -> None:
        """Publish records and wait for the broker's acknowledgement of each."""
        self._publish(
            [(self._verdict, _json(message(record, self.records_at))) for record in records]
        )

    def announce(self, state: Mapping[str, Any]) -> None:
        """Publish the state, retained; it is published again with each new connection."""
        announced = _json({"online": True, **state})
        self._publish([(self._state, announced)], retain=True)
        self._last = announced

    def notify(self, event: Mapping[str, Any]) -> None:
        """Publish an event and wait for the broker's acknowledgement."""
        self._publish([(self._event, _json(event))])

    def close(self) -> None:
        """Announce that the station is offline, and disconnect."""
        self._connection.close(farewell=self._gone)

    @property
    def _gone(self) -> Message:
        return self._state, _json({"online": False})

    def _publish(self, messages: Sequence[Message], *, retain: bool = False) -> None:
        until_s = monotonic() + self._config.timeout_s
        try:
            self._connection.open(self._config.timeout_s)
            self._connection.publish(messages, max(0.1, until_s - monotonic()), retain=retain)
        except BrokerAway as error:
            raise SinkDown(str(error)) from error

    def _announce_again(self, client: Client) -> None:
        # The will of the connection before this one has announced "offline".
        if self._last is not None:
            client.publish(self._state, self._last, 1, retain=True)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
