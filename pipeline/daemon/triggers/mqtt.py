"""A trigger that comes over MQTT: a PLC's gateway publishes a message for each part."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.daemon.net.broker import Broker
from pipeline.daemon.net.mqtt import KEEPALIVE_S, BrokerAway, MqttConnection, Received
from pipeline.daemon.runtime.bounded_queue import BoundedQueue, Refused
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.triggers import Call, Trigger, TriggerConfig
from pipeline.errors import SourceLost, printable

if TYPE_CHECKING:
    from paho.mqtt.client import Client

WAITING = 10_000  # calls, each with its serial: some 2.5 MB
CONNECT_S = 5.0
SERIAL_CHARACTERS = 256
# So many messages may be without our acknowledgement before a broker may hold others back. By
# default mosquitto sends 20, EMQX 32, HiveMQ 10 or more.
HELD_BACK_FROM = 10
ROUND_TRIPS = 2  # that prove that nothing is held back; a second one for brokers that are slow

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
    session_expiry_s: int = Field(
        86_400,
        ge=1,
        le=30 * 86_400,
        description="How long the broker keeps messages for the station while it is away, in "
        "seconds. They are recorded when it is back, as NOT_INSPECTED: their parts have gone by.",
    )

    def open(self, clock: Clock) -> MqttTrigger:
        """Read password and certificates; connecting is for `calls`."""
        return self.open_for("", "", clock)

    def open_for(self, station: str, camera: str, clock: Clock) -> MqttTrigger:
        """The same, with a session of its own at the broker for each camera of each station."""
        topic = sha256(self.topic.encode()).hexdigest()[:8]
        names = "-".join(filter(None, ("lineside-trigger", station, camera, topic)))
        return MqttTrigger(self, names, clock)


class MqttTrigger(Trigger):
    """Subscribes to a topic, in a session that the broker keeps while the station is away.

    A message is acknowledged once its record is committed. So each message has a record, also
    one that comes during a reload, a restart or an outage; one whose acknowledgement was lost with
    the process may have two. What may have waited at the broker is `refused`, since its part has
    gone by. A retained message is not a trigger.
    """

    records_ahead = WAITING
    loss_unnoticed_s = 1.5 * KEEPALIVE_S

    def __init__(self, config: Config, name: str, clock: Clock) -> None:
        self._clock = clock
        self._queue: BoundedQueue[Call] = BoundedQueue(f"trigger mqtt {config.topic}", WAITING)
        self._subscription = _Subscription(config, name, self._received)
        self.connected = False

    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        """Connect unless connected, subscribe, and yield a call for each message."""
        try:
            self._subscription.open(heartbeat)
            while not heartbeat.stopping:
                call = self._queue.take(heartbeat)
                self.resumed = self._subscription.resumed
                self.connected = self._subscription.stands
                if call is not None:
                    yield call
                else:
                    self._subscription.check()
        except SourceLost:
            self.connected = False
            raise

    def left(self) -> Iterator[Call]:
        """Calls that still wait."""
        yield from self._queue.close()

    def close(self) -> None:
        """End the connection; the broker keeps what was not acknowledged, and what comes now."""
        self.connected = False
        self._queue.close()
        self._subscription.close()

    def _received(self, payload: bytes, recorded: Callable[[], None], late: str) -> None:
        """Take a message; called in paho's thread."""
        call = Call(
            *(self._clock.now(), self._clock.monotonic_s(), serial(payload)),
            refused=late,
            recorded=recorded,
        )
        try:
            self._queue.put(call)
        except Refused as error:
            log.warning("%s; the broker keeps the message for the next start", error)


class _Subscription:
    """The session at the broker: what it has sent, what is recorded, and what it may hold back.

    A message bears no time. It may have waited at the broker when it comes in a session that was
    interrupted, or while so many others are not acknowledged that the broker holds further ones
    back. Both are over once a round trip to the broker proves it: all before it is acknowledged,
    and fewer come during it than the broker may have under way. More would have been sent, had any
    waited there.
    """

    def __init__(
        self, config: Config, name: str, received: Callable[[bytes, Callable[[], None], str], None]
    ) -> None:
        self.stands = False  # has the broker accepted the subscription?
        self.resumed = ""
        self._topic = config.topic
        self._received = received
        self._refused = ""
        self._lock = threading.RLock()
        self._session = 0  # number of the session; a lost one voids its messages' numbers
        self._unrecorded: dict[int, Received] = {}
        self._recorded: dict[int, bytes] = {}  # payload by number, until the number is used again
        self._late = ""  # why messages may have waited at the broker, "" when none has
        self._n_received = 0
        self._proofs = 0  # round trips in a row that proved that nothing is held back
        self._asked_at: int | None = None  # `_n_received` when the round trip began
        self._connection = MqttConnection(
            *(config.broker, name, "trigger mqtt"),
            session_s=config.session_expiry_s,
            on_connect=self._connected,
            on_message=self._on_message,
        )
        self._where = f"broker {config.broker.address}, topic {config.topic}"

    def open(self, heartbeat: Heartbeat) -> None:
        """Connect and subscribe, in a thread of its own: the heartbeat has to beat meanwhile.

        Raises:
            SourceLost: the broker is away or refuses us.
        """
        if self._connection.up:
            return
        alarms: list[Exception] = []

        def connect() -> None:
            try:
                self._connection.open(CONNECT_S)
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
            self._connection.close()
            raise SourceLost(f"{self._where}: the connection broke")

    def close(self) -> None:
        """End the connection, not the session."""
        self.stands = False
        self._connection.close()

    def _on_message(self, received: Received) -> None:
        with self._lock:
            if received.again and self._known(received):
                return
            self._n_received += 1
            if received.qos:
                self._recorded.pop(received.mid, None)
                self._unrecorded[received.mid] = received
                if len(self._unrecorded) >= HELD_BACK_FROM and not self._late:
                    self._suspect(f"{HELD_BACK_FROM} before it were not recorded yet")
            late = "it was sent before" if received.again else self._late
        recorded = partial(self._settle, self._session, received)
        why = f"late: the message may have waited at the broker ({late})" if late else ""
        self._received(received.payload, recorded, why)

    def _known(self, received: Received) -> bool:
        """Has this message, sent again by the broker, come before in this session?"""
        if self._recorded.get(received.mid) == received.payload:
            self._connection.acknowledge(received)
            return True
        waits = self._unrecorded.get(received.mid)
        return waits is not None and waits.payload == received.payload

    def _settle(self, session: int, received: Received) -> None:
        """Acknowledge a message whose record is committed."""
        with self._lock:
            if session != self._session or not received.qos:
                return
            if self._unrecorded.pop(received.mid, None) is not None:
                self._recorded[received.mid] = received.payload
            self._connection.acknowledge(received)
            self._ask()

    def _suspect(self, why: str) -> None:
        self._late, self._proofs = why, 0

    def _connected(self, client: Client) -> None:
        client.on_subscribe = self._subscribed
        with self._lock:
            self._asked_at = None
            if self._connection.session_present:
                self.resumed = "the broker kept the messages for it"
                self._suspect("the station was not connected")
            else:
                self.resumed = "the broker kept no messages for it"
                if self._session:
                    log.error(
                        "%s: the broker has not kept the session; what was published while the "
                        "station was away has no record",
                        self._where,
                    )
                self._late = ""
                self._session += 1
                self._unrecorded.clear()
                self._recorded.clear()
            self._ask(first=True)

    def _ask(self, *, first: bool = False) -> None:
        """Subscribe, again if need be: the answer ends a round trip to the broker."""
        if not first and (not self._late or self._unrecorded or self._asked_at is not None):
            return  # nothing to prove, or nothing can be proved yet
        self._asked_at = None if self._unrecorded else self._n_received
        self._connection.subscribe(self._topic)

    def _subscribed(
        self, client: Client, data: Any, mid: int, reasons: list[Any], properties: Any
    ) -> None:
        with self._lock:
            self._refused = ", ".join(str(reason) for reason in reasons if reason.is_failure)
            self.stands = not self._refused
            if self._asked_at is not None:
                came = self._n_received - self._asked_at
                self._proofs = self._proofs + 1 if came < HELD_BACK_FROM else 0
                self._asked_at = None
            if self._proofs >= ROUND_TRIPS:
                self._late = ""
            self._ask()


def serial(payload: bytes) -> str:
    """The part's serial in a message; "" when it holds none.

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
