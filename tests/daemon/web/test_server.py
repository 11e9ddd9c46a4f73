"""The worker that serves HTTP: its port and certificate, and clients that keep it waiting."""

from __future__ import annotations

import socket
import ssl
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.settings.http import Http
from pipeline.daemon.station import Station
from pipeline.daemon.web import server
from pipeline.daemon.web.server import Web
from pipeline.errors import ConfigError
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Held, Reply, Serve, connected


def ended(client: socket.socket) -> bool:
    """Has the station ended the connection? Reads what it still sent."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


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
        answer = clients[-1].makefile("rb").read()
    assert reply.status == 200
    assert answer.startswith(b"HTTP/1.1 200 ")


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
        until(alive, "an answer", server.READ_WITHIN_S / 2)


def test_a_client_that_never_reads_is_ended_and_others_served(
    serve: Serve, impatient: None
) -> None:
    served = serve()
    with connected(served) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        without_end = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000_000
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.sendall, without_end)
            assert served.send().status == 200
            assert isinstance(asking.exception(TIMEOUT_S), ConnectionError)
    assert served.ask("GET", "/healthz").status == 200


def test_a_picture_in_a_great_number_of_tiny_chunks_is_refused(serve: Serve) -> None:
    served = serve()
    head = b"POST /inspect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    with connected(served) as client:
        client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"1\r\nx\r\n" * (server.MOST_SHORT_CHUNKS + 9))
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert served.send().status == 200
    assert served.ask("POST", "/inspect", iter([bytes(2_000)] * 4_000)).status == 200


def test_a_head_that_is_longer_than_any_honest_one_is_refused(serve: Serve) -> None:
    served = serve()
    for head in (
        b"GET /records?serial=" + b"a" * 20_000,
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 5_000,
    ):
        with connected(served) as client:
            client.sendall(head)
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def test_a_client_that_never_reads_does_not_hold_up_the_end(serve: Serve) -> None:
    served = serve()
    with connected(served) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):  # the station stops reading, too
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000_000)
        served.end()


def test_a_client_that_waits_when_the_station_ends_is_answered(serve: Serve) -> None:
    served = serve()
    served.source.deaf = True
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(served.send)
        assert served.source.asked.wait(TIMEOUT_S)
        served.end()
        reply = asked.result(30)
    assert (reply.status, reply.detail) == (
        503,
        "the part is not inspected: the station is stopping",
    )


def test_the_part_at_work_when_the_station_ends_still_gets_its_verdict(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    inspector = Held(sealed_bundle)
    served = serve(inspector=inspector)
    with ThreadPoolExecutor(1) as pool:
        asked: Future[Reply] = pool.submit(served.send)
        assert inspector.at_work.wait(30)
        served.stop.set()
        until(lambda: bool(served.station.stopping))
        refused = served.send()
        inspector.let_go.set()
        reply = asked.result(30)
    assert (reply.status, reply.json["verdict"]) == (200, "PASS")
    assert (refused.status, refused.detail) == (503, "the station is stopping")


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


def test_a_port_that_is_taken_is_reported_before_the_station_starts(station: Station) -> None:
    with (
        closing(Web(Http(port=0), station, None)) as web,
        pytest.raises(ConfigError, match=r"127\.0\.0\.1 port [0-9]+ cannot be listened at"),
    ):
        Web(Http(port=web.port), station, None)


def test_an_address_that_is_not_ours_is_reported_before_the_station_starts(
    station: Station,
) -> None:
    settings = Http(host="192.0.2.1", tokens=Path("x"), plain="only for this test").model_copy(
        update={"tokens": None}
    )
    with pytest.raises(ConfigError, match=r"http: 192\.0\.2\.1 port 8711 cannot be listened at"):
        Web(settings, station, None)


def test_a_missing_file_of_tokens_is_reported_before_the_station_starts(
    station: Station, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="make the first token: lineside token new"):
        Web(Http(tokens=tmp_path / "none"), station, None)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"openssl makes no certificate here: {made.stderr.decode()}")
    return cert, key


@pytest.mark.slow
def test_a_station_with_a_certificate_speaks_tls_only(
    serve: Serve, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    served = serve(tls_cert=cert, tls_key=key)
    with pytest.raises(ConnectionError):
        served.ask("GET", "/healthz")
    served.context = ssl.create_default_context(cafile=cert)
    assert served.web.address.startswith("https://")
    assert served.send().json["verdict"] == "PASS"


@pytest.mark.slow
def test_a_client_that_never_ends_the_handshake_of_tls_is_ended(
    serve: Serve, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.3)
    served = serve(tls_cert=certificate[0], tls_key=certificate[1])
    with socket.create_connection(("127.0.0.1", served.port), TIMEOUT_S) as silent:
        assert silent.recv(1) == b""


@pytest.mark.slow
def test_a_key_that_does_not_fit_is_reported_before_the_station_starts(
    station: Station, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, _ = certificate
    with pytest.raises(ConfigError, match=r"http\.tls_cert .*cert\.pem and http\.tls_key"):
        Web(Http(port=0, tls_cert=cert, tls_key=cert), station, None)
