"""An MQTT broker: where it is, who we are to it, and a client that outlives its own callbacks.

Shared by what triggers and what is told over MQTT. Needs paho-mqtt, the extra `mqtt`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from pipeline.daemon.login import Login
from pipeline.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from paho.mqtt.client import Client

CONNECT_S = 3.0  # for TCP and TLS
KEEPALIVE_S = 5  # a broker that hangs is noticed after one and a half times that

log = logging.getLogger(__name__)


class Broker(Login):
    """How to reach a broker."""

    host: str = Field(min_length=1, description="Name or address of the broker.")
    port: int = Field(1883, ge=1, le=65535, description="1883 is usual, 8883 with TLS.")
    ca_file: Path | None = Field(
        None,
        description="Certificates that the broker's has to descend from. Given, or on port 8883, "
        "TLS is spoken; there without it the system's certificates count.",
    )
    cert_file: Path | None = Field(None, description="Our own certificate, where it asks for one.")
    key_file: Path | None = Field(None, description="The key of it.")
    insecure: bool = Field(
        False, description="Speak TLS without checking whose certificate it is: for trials only."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` belong together")
        return self

    @property
    def tls(self) -> bool:
        """Is the connection encrypted?"""
        return self.port == 8883 or self.insecure or bool(self.ca_file or self.cert_file)

    @property
    def shown(self) -> str:
        """The broker, for messages."""
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Message:
    """What the broker tells for us once we are gone: retained, QoS 1."""

    topic: str
    payload: bytes


def client(broker: Broker, client_id: str, *, will: Message | None = None) -> Client:
    """A client that connects to the broker once its `loop_start` is called.

    An exception in a callback is logged; by paho's default it would end the network's thread, and
    with it all that this client does, without a word. Nothing old is kept for it by the broker.

    Args:
        broker: where to connect.
        client_id: unique at the broker, which throws out the elder of two that are equal.
        will: what the broker tells when we vanish.

    Raises:
        MissingExtra: paho-mqtt is not installed.
        ConfigError: the password or a certificate cannot be read.
    """
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        raise MissingExtra("paho-mqtt", "MQTT", "mqtt") from None
    made = Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
    made.enable_logger(log)
    made.suppress_exceptions = True
    made.connect_timeout = CONNECT_S
    if broker.user:
        made.username_pw_set(broker.user, broker.password())
    if broker.tls:
        _encrypt(made, broker)
    if will is not None:
        made.will_set(will.topic, will.payload, qos=1, retain=True)
    made.connect_async(broker.host, broker.port, KEEPALIVE_S)
    return made


def _encrypt(made: Client, broker: Broker) -> None:
    import ssl

    try:
        made.tls_set(
            ca_certs=str(broker.ca_file) if broker.ca_file else None,
            certfile=str(broker.cert_file) if broker.cert_file else None,
            keyfile=str(broker.key_file) if broker.key_file else None,
            cert_reqs=ssl.CERT_NONE if broker.insecure else ssl.CERT_REQUIRED,
        )
    except (OSError, ValueError) as error:
        files = (broker.ca_file, broker.cert_file, broker.key_file)
        named = ", ".join(str(f) for f in files if f)
        raise ConfigError(f"{named} cannot be used for TLS: {error}") from None
    made.tls_insecure_set(broker.insecure)
