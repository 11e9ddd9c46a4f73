"""A trigger that comes over MQTT: a PLC's gateway publishes a message for each part."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.daemon.net.mqtt import Broker, BrokerAway, MqttConnection
from pipeline.daemon.runtime.bounded_queue import BoundedQueue, Refused
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import SourceLost, printable

if TYPE_CHECKING:
    from paho.mqtt.client import Client

WAITING = 100_000  # calls, each with its serial: some 25 MB
COUNTED_PER_CALL = (
    10  # of those that were only counted, beside each that waits: it, too, has its turn
)
CONNECT_S = 5.0
SERIAL_CHARACTERS = 256

log = logging.getLogger(__name__)


class Config(TriggerConfig):
    """Settings of a trigger by MQTT."""

    type: Literal["mqtt"] = Field(description="mqtt")
    broker: Broker = Field(description="The MQTT broker, and how to log in to it.")
    topic: str = Field(
        min_length=1,
        description="Topic to subscribe to at QoS 1; each message is one part. Its payload is "
        'the part\'s serial, JSON with it ({"serial": "A-17"}), or nothing.',
    )

    def open(self, clock: Clock) -> MqttTrigger:
        """Read password and certificates; connecting is for `calls`."""
        trigger = MqttTrigger(self, clock)
        _Subscription(self, trigger.received)
        return trigger


class MqttTrigger(Trigger):
    """Subscribes to a topic.

    What is published while the station is not connected triggers nothing, and neither does a
    retained message: the part has gone by. A message is acknowledged when it has come, not when its
    record is opened: one that comes in the instant of a kill has none. The publisher cannot be
    notified that too many wait: beyond `WAITING` parts are counted, and recorded without a serial.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._queue: BoundedQueue[Call] = BoundedQueue(f"trigger mqtt {config.topic}", WAITING)
        self._refused = 0  # parts that are not recorded yet
        self._counting = threading.Lock()
        self._subscription: _Subscription | None = None
        self.connected = False

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        """Connect, subscribe, and yield a call for each message."""
        # A worker that hangs keeps its own; with both, each message would be two parts.
        if self._subscription is not None:
            self._subscription.close()
        subscription = self._subscription = _Subscription(self._config, self.received)
        try:
            subscription.open(heartbeat)
            while not heartbeat.stopping:
                call = self._queue.take(heartbeat)
                self.connected = subscription.stands
                if call is not None:
                    yield call
                else:
                    subscription.check()
                yield from self._counted(
                    COUNTED_PER_CALL, f"overload: {WAITING} triggers waited already"
                )
        finally:
            self.connected = False
            subscription.close()

    def left(self) -> Iterator[Call]:
        """What still waits, and those that were only counted."""
        yield from self._queue.close()
        yield from self._counted(self._refused, "")

    def close(self) -> None:
        if lost := len(self._queue.close()) + self._refused:
            log.warning("trigger mqtt: %d messages came too late to be recorded", lost)

    def received(self, topic: str, payload: bytes) -> None:
        """A message has come; called in paho's thread."""
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        try:
            self._queue.put(Call(now, now_s, serial(payload)))
        except Refused as error:
            with self._counting:
                self._refused += 1
                first = self._refused == 1
            if first:
                log.error("%s; parts are NOT_INSPECTED, and their serials unknown", error)

    def _counted(self, most: int, why: str) -> Iterator[Call]:
        """Calls for parts that were only counted; when they came nobody knows any more."""
        for _ in range(most):
            with self._counting:
                if self._refused <= 0:
                    return
                self._refused -= 1
            yield Call(self._clock.now(), self._clock.monotonic_s(), refused=why)


class _Subscription:
    """One connection, and what is known of it."""

    def __init__(self, config: Config, received: Callable[[str, bytes], None]) -> None:
        self._topic = config.topic
        self._received = received
        self.stands = False  # has the broker agreed to tell us?
        self._refused = ""
        self._closed = False
        # A name of its own for each connection: of two with one name the broker ends the elder.
        name = f"lineside-trigger-{secrets.token_hex(6)}"
        self._connection = MqttConnection(
            config.broker,
            name,
            "trigger mqtt",
            on_connect=self._subscribe,
            on_message=self._on_message,
        )
        self._where = f"broker {config.broker.address}, topic {config.topic}"

    def open(self, heartbeat: Heartbeat) -> None:
        """Connect and subscribe, in a thread of its own: the heartbeat has to beat meanwhile.

        Raises:
            SourceLost: the broker is away or refuses us.
        """
        alarms: list[Exception] = []

        def connect() -> None:
            try:
                self._connection.open(CONNECT_S)
                if self._closed:
                    self._connection.close()
            except BrokerAway as error:
                alarms.append(error)

        thread = threading.Thread(target=connect, name=f"connect {self._topic}", daemon=True)
        thread.start()
        while thread.is_alive() and not heartbeat.stopping:
            heartbeat.beat()
            thread.join(0.05)
        if alarms:
            raise SourceLost(str(alarms[0])) from None

    def check(self) -> None:
        """Raise SourceLost when no message can come any more."""
        if self._refused:
            raise SourceLost(f"{self._where}: subscription refused ({self._refused})")
        if not self._connection.up:
            self.stands = False
            raise SourceLost(f"{self._where}: the connection broke")

    def close(self) -> None:
        """End the connection."""
        self._closed = True
        self._connection.close()

    def _on_message(self, topic: str, payload: bytes) -> None:
        if not self._closed:
            self._received(topic, payload)

    def _subscribe(self, client: Client) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        client.enable_logger(log)  # without it an exception in a callback is swallowed
        client.on_subscribe = self._subscribed
        retained = SubscribeOptions.RETAIN_DO_NOT_SEND
        client.subscribe(self._topic, options=SubscribeOptions(qos=1, retainHandling=retained))

    def _subscribed(
        self, client: Client, data: Any, mid: int, reasons: list[Any], properties: Any
    ) -> None:
        self._refused = ", ".join(str(reason) for reason in reasons if reason.is_failure)
        self.stands = not self._refused


def serial(payload: bytes) -> str:
    """The part's serial that a message tells; "" when it tells none.

    A payload that cannot be read is a trigger all the same: there is a part.
    """
    text = bytes(payload).decode("utf-8", "backslashreplace").strip()
    if text.startswith("{"):
        try:
            given = json.loads(text).get("serial", "")
        except (ValueError, RecursionError):
            log.warning("a trigger's message is neither a serial nor JSON: %.80r", text)
        else:
            text = str(given) if isinstance(given, str | int) else ""
    return printable(text[:SERIAL_CHARACTERS])
