"""The web service's port stays open between two stations."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from pipeline.daemon.net.held_port import HeldPort


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_a_client_that_comes_between_two_stations_waits_and_is_not_refused(
    listener: socket.socket,
) -> None:
    with closing(HeldPort()) as port:
        address = listener.getsockname()
        port.hold(address, listener)
        with socket.create_connection(address, 5):
            taken = port.take(address)
            assert taken is listener
            taken.accept()[0].close()
        taken.close()


def test_a_port_is_given_back_where_the_new_settings_name_another(
    listener: socket.socket,
) -> None:
    port, address = HeldPort(), listener.getsockname()
    port.hold(address, listener)
    assert port.take(("127.0.0.1", 1)) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)


def test_a_port_is_given_back_in_the_end(listener: socket.socket) -> None:
    address = listener.getsockname()
    with closing(HeldPort()) as port:
        port.hold(address, listener)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)
