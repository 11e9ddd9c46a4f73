"""A connection to an MQTT broker, for the sink and the trigger of that name.

MQTT version 5, because its acknowledgements carry a reason: a broker of version 3.1.1 acknowledges
a message that its access list forbids, and drops it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from pipeline.daemon.net.secret import read_secret
from pipeline.errors import ConfigError, LinesideError, MissingExtra
from pipeline.plugins import Strict

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEPALIVE_S = 10  # a broker that is silent for 1.5 times as long is away, and so are we to it
LONGEST_PAUSE_S = 5  # between two tries to connect again

Message = tuple[str, bytes]  # topic, payload


class BrokerAway(LinesideError):
    """The broker cannot be reached, refuses us, or did not answer in time."""


class Broker(Strict):
    """Where an MQTT broker is and who we are to it."""

    host: str = Field(min_length=1, description="The broker's host name or address.")
    port: int | None = Field(
        None, ge=1, le=65535, description="The broker's port; none: 8883 with TLS, 1883 without."
    )
    tls: bool = Field(
        False,
        description="Encrypt the connection; always on where `ca_file` or `cert_file` is given.",
    )
    ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) of the authority that signs the broker's; none: those "
        "that this machine trusts.",
    )
    cert_file: Path | None = Field(
        None, description="The station's client certificate (PEM), if the broker asks for one."
    )
    key_file: Path | None = Field(
        None, description="Private key of `cert_file`, if it is in a file of its own."
    )
    user: str | None = Field(
        None, description="The station's user name at the broker; none: anonymous."
    )
    password_env: str | None = Field(
        None, description="Environment variable that holds the password."
    )
    password_file: Path | None = Field(None, description="File that holds the password.")
    insecure: bool = Field(
        False,
        description="For trials: accept any certificate, and send a password unencrypted.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Broker:
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        if (self.password_env or self.password_file) and not self.user:
            raise ValueError("a password needs a `user`")
        if self.key_file and not self.cert_file:
            raise ValueError("`key_file` needs a `cert_file`")
        local = self.host in ("localhost", "::1") or self.host.startswith("127.")
        secret = self.password_env or self.password_file
        if secret and not (self.encrypted or local or self.insecure):
            raise ValueError(
                f"the password would go to {self.host} in the clear; set `tls: true`, or "
                "`insecure: true` if everybody on that network may read it"
            )
        return self

    @property
    def encrypted(self) -> bool:
        """Is it spoken to through TLS?"""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def address(self) -> str:
        """`host:port`, for messages."""
        return f"{self.host}:{self.at_port}"

    @property
    def at_port(self) -> int:
        """Its port, given or usual."""
        return self.port or (8883 if self.encrypted else 1883)

    def context(self) -> ssl.SSLContext | None:
        """How to encrypt; None where nothing is.

        Raises:
            ConfigError: a file that is missing or holds no certificate or key.
        """
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                # Without this OpenSSL would ask at the terminal for the password of a key.
                context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(f) for f in (self.ca_file, self.cert_file, self.key_file) if f)
            raise ConfigError(
                f"broker {self.address}: {files} cannot be used as certificate or key ({error})"
            ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class MqttConnection:
    """One connection, kept up by a thread of paho's once `open` has made it.

    What paho calls back runs in that thread, and what it raises there would kill it: so these
    callbacks do little, and paho is set to go on whatever they raise.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        needed_by: str,
        *,
        will: Message | None = None,
        on_connect: Callable[[Client], object] = lambda _: None,
        on_message: Callable[[str, bytes], object] = lambda *_: None,
    ) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            broker: where to.
            name: the client's identifier, one for each connection of the plant.
            needed_by: who needs it, for the message about a package that is missing.
            will: what the broker is to publish, retained, once we are gone without a word.
            on_connect: called in paho's thread with each connection, to subscribe for instance.
            on_message: called in paho's thread with topic and payload of each message.

        Raises:
            ConfigError: a password, certificate or key that is not there.
            MissingExtra: paho-mqtt is not installed.
        """
        self.broker = broker
        self._name = name
        self._will = will
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
        """Connect, if not connected; returns once the broker has let us in.

        Raises:
            BrokerAway: it did not, with the reason.
        """
        if self._up:
            return
        self.close()
        until_s = monotonic() + within_s
        self._answer = ""
        client = self._client = self._new_client(within_s / 2)
        try:
            client.connect(self.broker.host, self.broker.at_port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self._client = None
            raise BrokerAway(f"broker {self.broker.address}: {_reason(error)}") from error
        if self._client is not client:  # closed meanwhile by whoever has no more use for it
            client.disconnect()
            raise BrokerAway(f"broker {self.broker.address}: the connection was given up")
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._answer, max(0.0, until_s - monotonic()))
        if not self._up:
            answer = self._answer or f"no answer within {within_s:g} s"
            self.close()
            raise BrokerAway(f"broker {self.broker.address}: {answer}")

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
        """End the connection and paho's thread: with a word if there is one, else as if cut off.

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
            CallbackAPIVersion.VERSION2, self._name, protocol=MQTTProtocolVersion.MQTTv5
        )
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
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_message = self._heard
        return client

    def _password(self) -> str | None:
        what = f"the password for broker {self.broker.address}"
        return read_secret(what, self.broker.password_env, self.broker.password_file)

    def _connected(self, client: Client, _: Any, __: Any, answer: Any, ___: Any) -> None:
        if client is not self._client:
            return
        if not answer.is_failure:
            self._on_connect(client)
        with self._changed:
            self._up, self._answer = not answer.is_failure, str(answer)
            self._changed.notify_all()

    def _disconnected(self, client: Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if client is not self._client:
            return
        with self._changed:
            self._up, self._answer = False, self._answer or str(reason)
            self._changed.notify_all()

    def _heard(self, _: Any, __: Any, message: Any) -> None:
        self._on_message(message.topic, bytes(message.payload))

    def _acknowledged(self, client: Client, _: Any, mid: int, answer: Any, __: Any) -> None:
        with self._changed:
            self._acks[mid] = str(answer)
            self._changed.notify_all()


TAKEN = ("Success", "No matching subscribers")


def _reason(error: Exception) -> str:
    """What went wrong with a connection, without the numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); check `ca_file`"
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
