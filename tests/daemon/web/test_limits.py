"""What clients may not do to a station: fill its memory, or keep others out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest

from pipeline.daemon.loop import Station
from pipeline.daemon.web import server, upload
from pipeline.daemon.web.server import Web
from pipeline.daemon.web.settings import Http
from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.daemon.web.conftest import TIMEOUT_S, Serve, Served, until

PNG = {"content_type": "image/png"}
HEAD = b"POST /inspect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's patience, as short as a test's."""
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.3)
    monkeypatch.setattr(server, "READ_WITHIN_S", 0.3)
    monkeypatch.setattr(upload, "LINGER_S", 0.2)


def connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), TIMEOUT_S)


def ended(client: socket.socket) -> bool:
    """Has the station ended the connection? Reads what it still said."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(10_000)


def test_a_picture_that_is_too_large_is_refused_whatever_its_length_claims(serve: Serve) -> None:
    served = serve(max_upload_mb=0.1)
    honest = served.ask("POST", "/inspect", bytes(100_001), **PNG)
    chunked = served.ask("POST", "/inspect", iter([bytes(60_000), bytes(60_000)]), **PNG)
    assert (honest.status, chunked.status) == (413, 413)
    assert "larger than 0.1 MB (http.max_upload_mb" in chunked.detail
    assert served.station.ledger.account().triggers == 0
    assert served.send().status == 200


def test_who_sends_for_ever_is_cut_off(serve: Serve, impatient: None) -> None:
    served = serve(max_upload_mb=0.1)
    with (
        closing(HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT_S)) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.request("POST", "/inspect", endless(), {"Content-Type": "image/png"})
    until(lambda: not served.web.service.uploads.held_bytes)


def test_a_picture_that_trickles_in_is_given_up(serve: Serve) -> None:
    served = serve(upload_within_s=0.3)
    with connected(served) as client:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + b"\x89PNG")
        said = client.makefile("rb").read()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.3 s" in said
    assert served.station.ledger.account().triggers == 0


def test_all_pictures_together_have_room_for_a_few_of_the_largest(serve: Serve) -> None:
    served = serve(max_upload_mb=0.01)
    part = HEAD + b"Content-Length: 10000\r\n\r\n" + bytes(9_999)
    with ExitStack() as stack:
        for _ in range(upload.AT_ONCE):
            stack.enter_context(connected(served)).sendall(part)
        until(lambda: served.web.service.uploads.held_bytes == upload.AT_ONCE * 9_999)
        reply = served.send()
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    until(lambda: not served.web.service.uploads.held_bytes)
    assert served.send().status == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("image/gif", 415)],
)
def test_what_is_no_picture_is_refused_with_the_types_that_are(
    serve: Serve, kind: str, status: int
) -> None:
    reply = serve().send(content_type=kind)
    assert reply.status == status
    assert f'is not "{kind}"; send image/jpeg, image/png' in reply.detail


def test_an_empty_picture_is_no_trigger(serve: Serve) -> None:
    served = serve()
    reply = served.ask("POST", "/inspect", b"", **PNG)
    assert (reply.status, reply.detail) == (422, "the picture is empty (0 bytes)")
    assert served.station.ledger.account().triggers == 0


FILE = b'--b\r\nContent-Disposition: form-data; name=i; filename="a.png"\r\n\r\n\x89PNG\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("multipart/form-data", FILE + b"--b--", "names no boundary"),
        ("multipart/form-data; boundary=b", FILE, "cut off"),
        ("multipart/form-data; boundary=b", FILE + FILE + b"--b--", "has 2 files"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--", "has 0 files"),
        ("multipart/form-data; boundary=b", b"\x00" * 50, "cut off"),
    ],
)
def test_a_form_without_one_file_is_no_trigger(
    serve: Serve, kind: str, body: bytes, said: str
) -> None:
    reply = serve().ask("POST", "/inspect", body, content_type=kind)
    assert reply.status == 422
    assert said in reply.detail


@pytest.mark.parametrize("tail", [b"\r", b"\n", b"\r\n", b"\r\n--", b"\r\n\r\n", b"--b"])
def test_a_file_in_a_form_keeps_its_last_bytes(tail: bytes) -> None:
    data = codec.encode_png(picture(50)) + tail
    head = b'Content-Disposition: form-data; name="i"; filename="a.png"\r\n\r\n'
    body = b"--b0\r\n" + head + data + b"\r\n--b0--\r\n"
    assert upload.from_form(body, 'multipart/form-data; boundary="b0"') == data


def test_clients_that_ask_nothing_are_ended_and_others_served(
    serve: Serve, impatient: None
) -> None:
    served = serve(connections=1)
    with ExitStack() as stack:
        many = 2 * server.RESERVED  # more than are served at once
        silent = [stack.enter_context(connected(served)) for _ in range(many)]
        silent[0].sendall(b"GET /healthz HTTP/1.1\r\nHo")
        silent[1].sendall(b"POST /trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert all(ended(client) for client in silent)
        assert served.ask("GET", "/healthz").status == 200


def test_too_many_silent_clients_are_not_even_kept(serve: Serve) -> None:
    served = serve(connections=1)
    many = server.MOST_OPEN * (1 + server.RESERVED) + 1
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(served)) for _ in range(many)]
        assert ended(clients[-1])


def test_a_client_that_never_reads_is_ended_and_others_served(
    serve: Serve, impatient: None
) -> None:
    served = serve()
    with connected(served) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask_for_ever = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000_000
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.sendall, ask_for_ever)
            assert served.send().status == 200
            assert isinstance(asking.exception(TIMEOUT_S), ConnectionError)
    assert served.ask("GET", "/healthz").status == 200


def test_a_client_that_never_reads_does_not_hold_up_the_end(serve: Serve) -> None:
    served = serve()
    with connected(served) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):  # the station stops reading, too
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000_000)
        served.end()


def test_the_service_comes_back_after_its_worker_died(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    with monkeypatch.context() as patch:
        patch.setattr(server.Connection, "look", None)  # any bug will do
        with connected(served):
            until(lambda: served.station.state().restarts > 0)
    assert served.ask("GET", "/healthz").status == 200


def test_a_verdict_does_not_wait_for_the_acknowledgement_of_its_headers(station: Station) -> None:
    with (
        closing(Web(Http(port=0), station, None)) as web,
        socket.create_connection(("127.0.0.1", web.port)),
    ):
        accepted, _ = web.listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
