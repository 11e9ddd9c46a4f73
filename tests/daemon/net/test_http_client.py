"""Exchanges with a real HTTP server on loopback that is up, away, slow, or closes connections."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.daemon.net.http_client import HttpConnection
from tests.daemon.broker import certify
from tests.daemon.receiver import Receiver, receiving

LIMIT_S = 20.0
HEADERS = {"content-type": "text/plain"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def to(receiver: Receiver, timeout_s: float = LIMIT_S) -> HttpConnection:
    return HttpConnection("127.0.0.1", receiver.server_port, None, timeout_s)


def test_a_body_arrives_with_its_headers_and_is_answered(receiver: Receiver) -> None:
    receiver.status, receiver.answer_headers = 503, {"retry-after": "7"}
    with closing(to(receiver)) as connection:
        answer = connection.post("/hook?a=b", b"body", HEADERS)
    ((headers, body),) = receiver.requests
    assert (headers["content-type"], body) == ("text/plain", b"body")
    assert (answer.status, answer.getheader("retry-after")) == (503, "7")


def test_a_connection_is_kept_between_exchanges(receiver: Receiver) -> None:
    with closing(to(receiver)) as connection:
        for _ in range(5):
            connection.post("/", b"", HEADERS)
    assert receiver.connections == 1


def test_a_kept_connection_that_the_server_has_closed_is_made_again(receiver: Receiver) -> None:
    receiver.close_after_each = True
    with closing(to(receiver)) as connection:
        for _ in range(3):
            connection.post("/", b"", HEADERS)
    assert len(receiver.requests) == 3


def test_a_closed_connection_is_made_again_for_the_next_exchange(receiver: Receiver) -> None:
    with closing(to(receiver)) as connection:
        connection.post("/", b"1", HEADERS)
        connection.close()
        connection.post("/", b"2", HEADERS)
    assert receiver.connections == 2


@pytest.mark.parametrize("part", ["header", "body"])
def test_a_server_that_trickles_is_cut_off_in_time(receiver: Receiver, part: str) -> None:
    receiver.trickle = part
    with pytest.raises(TimeoutError, match=r"no whole answer in 0\.5 s"):
        to(receiver, 0.5).post("/", b"", HEADERS)
    assert receiver.over.wait(LIMIT_S), "the connection is still open"


def test_an_exchange_after_one_that_was_cut_off_has_a_connection_of_its_own(
    receiver: Receiver,
) -> None:
    receiver.trickle = "body"
    with closing(to(receiver, 0.5)) as connection:
        with pytest.raises(TimeoutError):
            connection.post("/", b"", HEADERS)
        receiver.trickle = ""
        assert connection.post("/", b"", HEADERS).status == 204


def test_a_server_that_is_away_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        HttpConnection("127.0.0.1", port, None, LIMIT_S).post("/", b"", HEADERS)


def test_a_server_that_never_answers_the_handshake_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        connection = HttpConnection("127.0.0.1", port, ssl.create_default_context(), 0.3)
        with pytest.raises(TimeoutError):
            connection.post("/", b"", HEADERS)


def test_a_server_without_tls_is_an_error_of_tls(receiver: Receiver) -> None:
    context = ssl.create_default_context()
    connection = HttpConnection("127.0.0.1", receiver.server_port, context, LIMIT_S)
    with pytest.raises(ssl.SSLError, match="wrong version number"):
        connection.post("/", b"", HEADERS)


@pytest.mark.slow
def test_a_certificate_is_verified(receiver: Receiver, tmp_path: Path) -> None:
    certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)

    def post(ca: str) -> int:
        trusted = ssl.create_default_context(cafile=tmp_path / ca)
        place = HttpConnection("localhost", receiver.server_port, trusted, LIMIT_S)
        with closing(place) as connection:
            return connection.post("/", b"", HEADERS).status

    with pytest.raises(ssl.SSLCertVerificationError):
        post("other.crt")
    assert post("ca.crt") == 204
    assert len(receiver.requests) == 1
