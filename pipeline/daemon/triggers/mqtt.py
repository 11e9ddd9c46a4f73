"""A trigger that comes over MQTT: a PLC's gateway publishes a message for each part."""

from __future__ import annotations

import json
import logging
import secrets
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.daemon import mqtt
from pipeline.daemon.clock import Clock
from pipeline.daemon.inbox import Inbox, Refused
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import SourceLost, printable

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

WAITING = 10_000
ANSWER_S = 2 * mqtt.CONNECT_S  # to connect and to subscribe
SERIAL_CHARACTERS = 256

log = logging.getLogger(__name__)


class Config(TriggerConfig):
    """Settings of a trigger by MQTT."""

    type: Literal["mqtt"] = Field(description="mqtt")
    broker: mqtt.Broker = Field(description="Who passes the messages on.")
    topic: str = Field(
        min_length=1,
        description="Each message on it is a part, at QoS 1; its payload is the part's serial, "
        'JSON with it ({"serial": "A-17"}), or nothing.',
    )

    def open(self, clock: Clock) -> Mqtt:
        """Read password and certificates; connecting is for `calls`."""
        mqtt.client(self.broker, "")
        return Mqtt(self, clock)


class Mqtt(Trigger):
    """Subscribes to a topic.

    What is published while the station is not connected triggers nothing, and neither does a
    retained message: the part has gone by.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._name = f"{config.broker.shown} {config.topic}"
        self._inbox: Inbox[Call] = Inbox(f"trigger mqtt {config.topic}", WAITING)

    def calls(self, pulse: Pulse) -> Iterator[Call]:
        """Connect, subscribe, and yield a call for each message."""
        # Of its own for each connection: a broker throws out the elder of two equal ones.
        client = mqtt.client(self._config.broker, f"lineside-{secrets.token_hex(6)}")
        connection = _Connection(client, self._config.topic, self._received)
        until_s = self._clock.monotonic_s() + ANSWER_S
        client.loop_start()
        try:
            while not pulse.stopping:
                if (call := self._inbox.take(pulse)) is not None:
                    yield call
                elif connection.trouble:
                    raise SourceLost(f"{self._name}: {connection.trouble}")
                elif not connection.subscribed and self._clock.monotonic_s() > until_s:
                    raise SourceLost(f"{self._name}: no answer for {ANSWER_S:g} s")
        finally:
            client.disconnect()
            # It joins paho's thread, which may be waiting for the network.
            threading.Thread(target=client.loop_stop, daemon=True).start()

    def close(self) -> None:
        if lost := self._inbox.close():
            log.warning("%s: %d messages came too late to be recorded", self._name, lost)

    def _received(self, message: MQTTMessage) -> None:
        """Called in paho's thread."""
        if message.retain:
            log.info("%s: a retained message is no part", self._name)
            return
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        try:
            self._inbox.put(Call(now, now_s, serial(message.payload)))
        except Refused as error:
            log.error("%s; this part has no record", error)


class _Connection:
    """What paho tells of one connection; written in its thread, read in ours.

    Attributes:
        subscribed: do messages come?
        trouble: why there will be none, "" while there may be.
    """

    def __init__(self, client: Client, topic: str, received: Any) -> None:
        self.subscribed = False
        self.trouble = ""
        self._topic = topic
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda client, data, message: received(message)

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        if reason.is_failure:
            self.trouble = f"the broker refuses us: {reason}"
        else:
            client.subscribe(self._topic, qos=1)

    def _on_connect_fail(self, client: Client, data: Any) -> None:
        # Paho calls this while it handles the exception, and does not tell which.
        error = sys.exception()
        said = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
        self.trouble = self.trouble or f"the broker cannot be reached: {said}"

    def _on_subscribe(
        self, client: Client, data: Any, mid: int, reasons: list[Any], more: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.trouble = "the broker refuses the subscription; ask for the right to read it"
        else:
            self.subscribed = True

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        self.subscribed = False
        self.trouble = self.trouble or f"the connection broke: {reason}"


def serial(payload: bytes) -> str:
    """The part's serial that a message tells; "" when it tells none.

    A payload that cannot be read is a trigger all the same: there is a part.
    """
    text = payload.decode("utf-8", "backslashreplace").strip()
    if text.startswith("{"):
        try:
            told = json.loads(text).get("serial", "")
        except (ValueError, RecursionError):
            log.warning("a trigger's message is neither a serial nor JSON: %.80r", text)
        else:
            text = str(told) if isinstance(told, str | int) else ""
    return printable(text[:SERIAL_CHARACTERS])
