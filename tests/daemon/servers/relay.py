"""A stretch of network between a client and a server on loopback, that can break."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """Passes on what comes at its port, until it is cut.

    Attributes:
        port: where it listens.
    """

    def __init__(self, to_port: int) -> None:
        self._to = ("127.0.0.1", to_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections without a word to either side's program, and make none again."""
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was cut
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                self._ends += [client, server]
                for work in (self.to_server, self.to_client):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def to_server(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the client sends, until either end is gone."""
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def to_client(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the server sends."""
        self.to_server(server, client)
