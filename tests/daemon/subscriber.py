"""A listener at a real broker, for tests of what is published there."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.daemon.broker import PATIENCE_S, Mosquitto

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage


class Subscriber:
    """Somebody at the broker who wants to hear everything, also what came while away."""

    def __init__(
        self,
        broker: Mosquitto,
        name: str = "mes",
        password: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, dict[str, Any], bool]] = []
        self.ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.qos: set[int] = set()
        self.client.on_message = self._hear
        # More than is published with: then each message comes with its own quality of service.
        self.client.on_connect = lambda c, *_: c.subscribe("lineside/#", 2)
        self.client.on_subscribe = lambda *_: self.ready.set()
        if password is not None:
            self.client.username_pw_set(name, password)
        if ca_file is not None:
            self.client.tls_set(str(ca_file))
        self.client.connect("localhost", broker.port, 10)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE_S)

    def _hear(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self.qos.add(message.qos)
        self.heard.append((message.topic, json.loads(message.payload), message.retain))

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [received for t, received, _ in self.heard if t == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
