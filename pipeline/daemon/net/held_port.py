"""The web service's port between two stations."""

from __future__ import annotations

import socket

Address = tuple[str, int]


class HeldPort:
    """Keeps the web service's port open between two stations, so that no client is refused."""

    def __init__(self) -> None:
        self._address: Address | None = None
        self._listener: socket.socket | None = None

    def take(self, address: Address) -> socket.socket | None:
        """The listening socket of this address, if it is held; another one is closed."""
        listener, self._listener = self._listener, None
        if listener is not None and self._address != address:
            listener.close()
            return None
        return listener

    def hold(self, address: Address, listener: socket.socket) -> None:
        """Hold a listening socket for a successor."""
        self._address, self._listener = address, listener

    def close(self) -> None:
        """Give the port back."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
