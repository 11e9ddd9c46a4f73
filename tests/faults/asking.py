"""A client of a station's web service, and sockets for clients that misbehave."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_S = 30.0


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks the station, one connection a question."""

    port: int
    token: str = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Ask and read the answer; `x_serial="7"` sends the header X-Serial."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            named.setdefault("authorization", f"Bearer {self.token}")
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)) as connection:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())

    def inspect(self, data: bytes, camera: str = "", serial: str = "") -> Reply:
        """Send a picture and wait for its record."""
        return self.ask("POST", f"/inspect/{camera}".rstrip("/"), data, x_serial=serial)

    def verdict(self, data: bytes, camera: str = "") -> tuple[str, str]:
        """The verdict of a picture and its reason."""
        reply = self.inspect(data, camera)
        assert reply.status == 200, reply.body
        return reply.json["verdict"], reply.json["reason"]

    @property
    def ready(self) -> bool:
        """Does the station say that it is ready? No answer is none."""
        try:
            return self.ask("GET", "/readyz").status == 200
        except (OSError, HTTPException):
            return False

    def connected(self, sent: bytes = b"") -> socket.socket:
        """A bare connection that has sent this much; whoever opens it closes it."""
        connection = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)
        connection.sendall(sent)
        return connection
