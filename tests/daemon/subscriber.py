"""A listener at a real broker, for tests of what is published there."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from tests.daemon.broker import PATIENCE_S, Mosquitto


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
        self.client.on_message = lambda _, __, m: self.heard.append(
            (m.topic, json.loads(m.payload), m.retain)
        )
        self.client.on_connect = lambda c, *_: c.subscribe("lineside/#", 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        if password is not None:
            self.client.username_pw_set(name, password)
        if ca_file is not None:
            self.client.tls_set(str(ca_file))
        self.client.connect("localhost", broker.port, 10)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE_S)

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [told for t, told, _ in self.heard if t == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
