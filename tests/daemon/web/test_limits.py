"""What clients may not do to a station: fill its memory, or keep others out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record
from pipeline.daemon.settings.http import Http
from pipeline.daemon.station import Station
from pipeline.daemon.web import access, records, server, upload
from pipeline.daemon.web.server import Web
from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.daemon.web.conftest import TIMEOUT_S, Held, Serve, Served, until

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


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(serve: Serve) -> None:
    served = serve(max_megapixels=0.01)
    large = codec.encode_png(np.zeros((100, 101, 3), np.uint8))
    reply = served.ask("POST", "/inspect", large, **PNG)
    assert reply.status == 413
    assert reply.detail == (
        "the picture has 101 x 100 pixels; at most 0.01 million are taken (http.max_megapixels in "
        "the line file)"
    )
    assert served.station.ledger.account().triggers == 0
    assert not served.web.service.uploads.held_bytes
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
        silent = [stack.enter_context(connected(served)) for _ in range(16)]
        silent[0].sendall(b"GET /healthz HTTP/1.1\r\nHo")
        silent[1].sendall(b"POST /trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert all(ended(client) for client in silent)
        assert served.ask("GET", "/healthz").status == 200


def test_of_too_many_silent_clients_the_oldest_go_and_others_are_served(serve: Serve) -> None:
    served = serve(connections=1)
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(served)) for _ in range(1 + server.SPARE)]
        reply = served.ask("GET", "/healthz")
        assert ended(clients[0])
        clients[-1].sendall(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        said = clients[-1].makefile("rb").read()
    assert reply.status == 200
    assert said.startswith(b"HTTP/1.1 200 ")


def test_a_crowd_that_asks_nothing_or_slowly_keeps_nobody_from_health_and_verdicts(
    serve: Serve,
) -> None:
    served = serve(connections=1)
    with ExitStack() as stack:
        for i in range(200):
            client = stack.enter_context(connected(served))
            if i % 2:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        replies = [served.ask("GET", path) for path in ("/healthz", "/readyz", "/metrics")]
        replies.append(served.send())
    assert [reply.status for reply in replies] == [200] * 4


@pytest.mark.slow
def test_a_part_that_waits_for_its_verdict_outlasts_a_crowd(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    inspector = Held(sealed_bundle)
    served = serve(inspector=inspector, connections=1)
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        part = pool.submit(served.send)
        assert inspector.at_work.wait(TIMEOUT_S)
        for _ in range(200):
            stack.enter_context(connected(served))
        assert served.ask("GET", "/healthz").status == 200
        inspector.let_go.set()
        assert part.result(TIMEOUT_S).json["verdict"] == "PASS"


def test_clients_that_never_read_make_room_when_nobody_is_idle(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SPARE", 1)
    served = serve(connections=1)

    def alive() -> bool:
        try:
            return served.ask("GET", "/healthz").status == 200
        except ConnectionError:  # the station still writes to the others
            return False

    with ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(connected(served))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000_000)
        until(alive, server.READ_WITHIN_S / 2)


def test_many_readers_keep_nobody_from_health_and_verdicts(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    reading, go_on = threading.Event(), threading.Event()

    def slow(serial: str) -> list[Record]:
        reading.set()
        go_on.wait(TIMEOUT_S)
        return []

    monkeypatch.setattr(access, "READERS", 1)
    monkeypatch.setattr(served.web.service._archive, "of_serial", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.ask, "GET", "/records?serial=1")
        assert reading.wait(TIMEOUT_S)
        second = served.ask("GET", "/status")
        others = [served.ask("GET", "/healthz"), served.ask("GET", "/readyz"), served.send()]
        go_on.set()
        assert first.result(TIMEOUT_S).status == 200
    assert (second.status, second.headers["retry-after"]) == (503, "1")
    assert second.detail == "1 read records and frames already; try again"
    assert [reply.status for reply in others] == [200] * 3
    assert served.ask("GET", "/status").status == 200


def test_a_disk_that_hangs_takes_no_more_threads_than_a_few(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PATIENCE_S", 0.1)
    monkeypatch.setattr(records, "_room", threading.BoundedSemaphore(2))
    served = serve()
    go_on, hang = threading.Event(), threading.Semaphore(0)

    def dead(serial: str) -> list[Record]:
        hang.release()
        go_on.wait(TIMEOUT_S)
        return []

    monkeypatch.setattr(served.web.service._archive, "of_serial", dead)
    replies = [served.ask("GET", "/records?serial=1") for _ in range(4)]
    assert {(r.status, r.detail) for r in replies} == {(504, "the station's disk does not answer")}
    assert [hang.acquire(blocking=False) for _ in range(3)] == [True, True, False]
    go_on.set()
    until(lambda: served.ask("GET", "/records?serial=1").status == 200)


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
        patch.setattr(server.ClientConnection, "look", None)  # any bug will do
        with connected(served):
            until(lambda: served.station.status().restarts > 0)
    assert served.ask("GET", "/healthz").status == 200


def test_a_verdict_does_not_wait_for_the_acknowledgement_of_its_headers(station: Station) -> None:
    with (
        closing(Web(Http(port=0), station, None)) as web,
        socket.create_connection(("127.0.0.1", web.port)),
    ):
        accepted, _ = web.listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
