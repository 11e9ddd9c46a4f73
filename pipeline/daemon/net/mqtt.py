"""A connection to an MQTT broker, for the MQTT sink and the MQTT trigger.

MQTT version 5, because its acknowledgements carry a reason: a broker of version 3.1.1 acknowledges
a message that its access list forbids, and drops it.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from pipeline.daemon.net.broker import Broker
from pipeline.daemon.net.secret import read_secret
from pipeline.errors import LinesideError, MissingExtra

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.properties import Properties

KEEPALIVE_S = 10  # a broker that is silent for 1.5 times as long is away, and so are we to it
LONGEST_PAUSE_S = 5  # between two tries to connect again
TAKEN_OVER_PAUSE_S = 30.0  # before connecting again when another client has our identifier
TAKEN_OVER = 0x8E  # reason code "Session taken over"
# mosquitto 2.0 gives no reason: then it is another client where the broker lets us in and ends the
# connection so soon, so many times in a row.
SOON_S, SHORT_CONNECTIONS = 10.0, 3
MAX_UNACKNOWLEDGED = 1000  # messages that a broker may send us before it has our acknowledgements

log = logging.getLogger(__name__)
log_of_paho = log.getChild("paho")
# Paho calls every end of a connection an error, without its reason.
log_of_paho.addFilter(lambda entry: not entry.getMessage().startswith("Client is not connected"))

Message = tuple[str, bytes]  # topic, payload


@dataclass(frozen=True)
class Received:
    """A message from the broker.

    Attributes:
        topic, payload: as published.
        mid: the broker's number of it, for its acknowledgement; 0 at QoS 0.
        qos: quality of service, 0 to 2.
        again: the broker has sent it before and has not seen our acknowledgement.
    """

    topic: str
    payload: bytes
    mid: int = 0
    qos: int = 0
    again: bool = False


class BrokerAway(LinesideError):
    """The broker cannot be reached, refuses us, or did not answer in time."""


class MqttConnection:
    """One connection, kept up by a thread of paho's once `open` has made it.

    What paho calls back runs in that thread, and what it raises there would kill it: so these
    callbacks do little, and paho is set to go on whatever they raise.

    Attributes:
        session_present: at the last connection, had the broker kept our session?
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        needed_by: str,
        *,
        will: Message | None = None,
        session_s: int = 0,
        on_connect: Callable[[Client], object] = lambda _: None,
        on_message: Callable[[Received], object] = lambda _: None,
    ) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            broker: where to.
            name: the client's identifier, one for each connection of the plant.
            needed_by: who needs it, for the message about a package that is missing.
            will: what the broker is to publish, retained, once we are gone without a word.
            session_s: how long the broker keeps our subscriptions and their messages while we are
                away; then each message has to be acknowledged by `acknowledge`. 0: no session, and
                messages are acknowledged as they come.
            on_connect: called in paho's thread with each connection, to subscribe for instance;
                `session_present` is up to date by then.
            on_message: called in paho's thread with each message.

        Raises:
            ConfigError: a password, certificate or key that is not there.
            MissingExtra: paho-mqtt is not installed.
        """
        self.broker = broker
        self._name = name
        self._will = will
        self._session_s = session_s
        self.session_present = False
        self._taken_over_s: float | None = None
        self._accepted_s = 0.0
        self._short = 0  # connections in a row that the broker ended soon after it accepted them
        self._on_connect = on_connect
        self._on_message = on_message
        self._changed = threading.Condition()
        self._answer = ""  # to CONNECT: "" none yet, "Success", or why not
        self._up = False
        self._acks: dict[int, str] = {}
        self._client: Client | None = None
        try:
            import paho.mqtt.client as _  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtra("paho-mqtt", needed_by, "mqtt") from error
        broker.context()
        self._password()

    @property
    def up(self) -> bool:
        """Is the connection there, as far as we know?"""
        return self._up

    def open(self, within_s: float) -> None:
        """Connect, if not connected; returns once the broker has accepted the connection.

        Raises:
            BrokerAway: it did not, with the reason.
        """
        if self._up:
            return
        self.close()
        self._leave_to_the_other_client()
        until_s = monotonic() + within_s
        self._answer = ""
        client = self._client = self._new_client(within_s / 2)
        try:
            client.connect(
                *(self.broker.host, self.broker.at_port, KEEPALIVE_S),
                clean_start=not self._session_s,
                properties=self._session(),
            )
        except (OSError, ValueError) as error:
            self._client, self._short = None, 0
            raise BrokerAway(f"broker {self.broker.address}: {_reason(error)}") from error
        if self._client is not client:  # closed meanwhile by another thread
            client.disconnect()
            raise BrokerAway(f"broker {self.broker.address}: the connection was given up")
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._answer, max(0.0, until_s - monotonic()))
        if not self._up:
            answer = self._answer or f"no answer within {within_s:g} s"
            self.close()
            raise BrokerAway(f"broker {self.broker.address}: {answer}")

    def subscribe(self, topic: str) -> None:
        """Ask for the messages of a topic at QoS 1, without retained ones; paho calls back."""
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if (client := self._client) is not None:
            retained = SubscribeOptions.RETAIN_DO_NOT_SEND
            client.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=retained))

    def acknowledge(self, received: Received) -> None:
        """Acknowledge a message of the session; nothing is sent while not connected.

        The broker then sends it again at the next connection.
        """
        client = self._client
        if client is not None and self._up and received.qos:
            client.ack(received.mid, received.qos)

    def publish(
        self, messages: Sequence[Message], within_s: float, *, retain: bool = False
    ) -> None:
        """Publish with QoS 1; returns once the broker has acknowledged every message.

        Raises:
            BrokerAway: it has not, or refuses one; the connection is given up, so that paho does
                not send again by itself what is given to it again.
        """
        client = self._client
        if client is None or not self._up:
            raise BrokerAway(f"broker {self.broker.address}: not connected")
        self._acks.clear()
        until_s = monotonic() + within_s
        # A message queued while the connection goes is reported as failed: only acks count.
        mids = [client.publish(topic, data, 1, retain).mid for topic, data in messages]
        with self._changed:
            self._changed.wait_for(
                lambda: not self._up or all(m in self._acks for m in mids),
                max(0.0, until_s - monotonic()),
            )
            answers = [self._acks.get(m, "") for m in mids]
        refused = next((a for a in answers if a and a not in TAKEN), "")
        if refused or not all(answers):
            missing = f"{answers.count('')} of {len(mids)} messages not acknowledged"
            why = refused or (f"{missing} within {within_s:g} s" if self._up else missing)
            self.close()
            raise BrokerAway(f"broker {self.broker.address}: {why}")

    def close(self, *, farewell: Message | None = None) -> None:
        """End the connection and paho's thread: after `farewell` if given, else as if cut off.

        Args:
            farewell: published, retained, instead of the will.
        """
        client, self._client = self._client, None
        if client is None:
            return
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.reasoncodes import ReasonCode

        if farewell is not None and self._up:
            self._client = client
            with suppress(BrokerAway):
                self.publish([farewell], 1.0, retain=True)
                client.disconnect()
                with self._changed:  # paho's thread sends it; a cut before that would call the will
                    self._changed.wait_for(lambda: not self._up, 1.0)
            self._client = None
        else:
            client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
        self._up = False
        # Paho's thread ends only when all is acknowledged or the connection is gone, and a broker
        # that hangs does neither.
        with suppress(OSError, AttributeError):
            client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        client.loop_stop()

    def _new_client(self, timeout_s: float) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            self._name,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=bool(self._session_s),
        )
        client.enable_logger(log_of_paho)  # else an exception in a callback is swallowed
        client.connect_timeout = timeout_s
        client.suppress_exceptions = True
        client.reconnect_delay_set(1, LONGEST_PAUSE_S)
        if self.broker.user:
            client.username_pw_set(self.broker.user, self._password())
        context = self.broker.context()
        if context is not None:
            client.tls_set_context(context)
        if self._will is not None:
            client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_message = self._heard
        return client

    def _session(self) -> Properties | None:
        if not self._session_s:
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        wanted: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wanted.SessionExpiryInterval = self._session_s
        wanted.ReceiveMaximum = MAX_UNACKNOWLEDGED
        return cast("Properties", wanted)

    def _leave_to_the_other_client(self) -> None:
        """Raise BrokerAway for a while after another client with our identifier was let in."""
        if self._taken_over_s is None:
            return
        left_s = self._taken_over_s + TAKEN_OVER_PAUSE_S - monotonic()
        if left_s > 0:
            raise BrokerAway(self._taken_over)

    @property
    def _taken_over(self) -> str:
        return (
            f"broker {self.broker.address}: the connection as {self._name} is ended again and "
            "again, by another client of that name: is a second station running with this "
            "station's name? Give each its own `station`; connecting again after "
            f"{TAKEN_OVER_PAUSE_S:.0f} s"
        )

    def _password(self) -> str | None:
        what = f"the password for broker {self.broker.address}"
        return read_secret(what, self.broker.password_env, self.broker.password_file)

    def _connected(self, client: Client, _: Any, flags: Any, answer: Any, __: Any) -> None:
        if client is not self._client:
            return
        if not answer.is_failure:
            self.session_present = flags.session_present
            self._accepted_s = monotonic()
            self._on_connect(client)
        with self._changed:
            self._up, self._answer = not answer.is_failure, str(answer)
            self._changed.notify_all()

    def _disconnected(self, client: Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if client is not self._client:
            return
        now_s = monotonic()
        self._short = self._short + 1 if now_s - self._accepted_s < SOON_S else 0
        if reason.value == TAKEN_OVER or self._short >= SHORT_CONNECTIONS:
            self._taken_over_s = now_s
            client.disconnect()  # so that paho does not connect again by itself
            log.error("%s", self._taken_over)
        with self._changed:
            self._up, self._answer = False, self._answer or str(reason)
            self._changed.notify_all()

    def _unreachable(self, _: Client, __: Any) -> None:
        self._short = 0

    def _heard(self, client: Client, _: Any, message: Any) -> None:
        if client is self._client:
            self._on_message(
                Received(
                    *(message.topic, bytes(message.payload)),
                    *(message.mid, message.qos, message.dup),
                )
            )

    def _acknowledged(self, client: Client, _: Any, mid: int, answer: Any, __: Any) -> None:
        with self._changed:
            self._acks[mid] = str(answer)
            self._changed.notify_all()


TAKEN = ("Success", "No matching subscribers")


def _reason(error: Exception) -> str:
    """Why a connection failed, without error numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); check `ca_file`"
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
