"""Clients that misbehave or come all at once: the line goes on, and others get their answers."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.faults.asking import Client, Reply, free_port
from tests.faults.conftest import SOAK, Plant
from tests.faults.test_load import SLOW

pytestmark = pytest.mark.slow

GOOD = codec.encode_png(picture(200))
DRAIN_S = 2
MOST_END_S = DRAIN_S * 2 + 6  # parts, then sinks and answers; then what hangs is left behind
CLIENTS = 500 if SOAK else 50  # at once, fewer than `http.connections`


@pytest.fixture
def client(plant: Plant) -> Client:
    """One with a token to act."""
    return Client(free_port(), Tokens(plant.home / "tokens").new("plc", [Scope.ACT]))


def line(plant: Plant, client: Client, **changes: object) -> Path:
    """A belt that never stops, and a camera that is sent its pictures."""
    belt = {"type": "replay", "path": "parts", "rate_hz": 20, "loop": True}
    settings = {
        "source": None,
        "cameras": [
            {"name": "belt", "source": belt},
            {"name": "pushed", "source": {"type": "push", "waiting": 1000}},
        ],
        "http": {
            "port": client.port,
            "tokens": "tokens",
            "max_upload_mb": 1,
            "connections": CLIENTS + 10,
        },
        "supervision": {"drain_s": DRAIN_S},
    }
    return plant.line(**(settings | changes))


def head(client: Client, body_bytes: int) -> bytes:
    """The head of a request that sends a picture."""
    return (
        f"POST /inspect/pushed HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n"
        f"Authorization: Bearer {client.token}\r\nContent-Type: image/png\r\n"
        f"Content-Length: {body_bytes}\r\n\r\n"
    ).encode()


def never_reads(client: Client) -> socket.socket:
    """Asks for much and reads nothing of it, so that the answers pile up."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", client.port))
    connection.settimeout(0.2)
    ask = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode()
    try:
        for _ in range(2000):
            connection.sendall(ask * 10)
    except TimeoutError:
        pass  # the station reads no more from one that does not read
    return connection


def trickles(client: Client) -> socket.socket:
    """Sends a byte of its picture now and then."""
    connection = client.connected(head(client, 100_000))

    def send() -> None:
        try:
            while True:
                connection.sendall(b"\x89")
                time.sleep(0.1)
        except OSError:
            return

    threading.Thread(target=send, daemon=True).start()
    return connection


def stops_in_its_head(client: Client) -> socket.socket:
    """Sends half a request."""
    return client.connected(head(client, 100)[:30])


def stops_in_its_picture(client: Client) -> socket.socket:
    """Sends half a picture."""
    return client.connected(head(client, len(GOOD)) + GOOD[:-10])


BAD = (never_reads, trickles, stops_in_its_head, stops_in_its_picture)


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_bad_clients_keep_nobody_else_from_a_verdict_nor_the_station_from_its_end(
    plant: Plant,
    client: Client,
    connections: ExitStack,
    recovered: Callable[[str, float], None],
) -> None:
    station = plant.inspecting(line(plant, client))
    station.wait_for(lambda: client.ready, "ready")
    for bad in BAD * (5 if SOAK else 2):
        connections.enter_context(bad(client))
    station.wait_for_more(10)
    started = time.monotonic()
    assert client.inspect(GOOD, "pushed", "A-1").json["verdict"] == "PASS"
    recovered("8 bad clients hold on; another's verdict", time.monotonic() - started)
    assert client.ready
    stranger = Client(client.port, "lsd_wrong")
    assert stranger.inspect(GOOD, "pushed").status == 401
    assert client.inspect(bytes(1_100_000), "pushed").status == 413
    assert client.inspect(b"", "pushed").status == 422
    started = time.monotonic()
    station.end()
    ended_s = time.monotonic() - started
    recovered("bad clients still there; station ended", ended_s)
    assert ended_s < MOST_END_S
    assert client.token not in station.logged
    assert stranger.token not in station.logged
    assert plant.book.ask("SELECT serial FROM records WHERE camera = 'pushed'") == [("A-1",)]


def test_too_many_pictures_at_once_are_each_answered_and_each_answer_stands_in_the_ledger(
    plant: Plant, client: Client, recovered: Callable[[str, float], None]
) -> None:
    file = line(plant, client, overload={"policy": "queue", "waiting": 4})
    station = plant.start(file, first=SLOW)
    station.wait_for(lambda: client.ready, "ready")
    with ThreadPoolExecutor(CLIENTS) as many:
        started = time.monotonic()
        asked = [many.submit(client.inspect, GOOD, "pushed", f"A-{i}") for i in range(CLIENTS)]
        assert client.ready
        replies = {f"A-{i}": reply.result() for i, reply in enumerate(asked)}
        recovered(f"{CLIENTS} pictures at once, all answered", time.monotonic() - started)
    station.wait_for_more(3)
    assert client.ready
    station.end()
    answered = by_serial(replies)
    assert answered == dict(plant.book.ask(VERDICTS))
    reasons = Counter(
        reply.json["reason"] for reply in replies.values() if reply.status == 200
    ).keys()
    assert "overload: 4 frames were waiting (limit 4)" in reasons
    assert "PASS" in answered.values()


def test_floods_of_form_parts_and_chunks_keep_nobody_from_a_verdict(
    plant: Plant, client: Client, connections: ExitStack
) -> None:
    http = {"port": client.port, "tokens": "tokens", "connections": 40}
    station = plant.inspecting(line(plant, client, http=http))
    station.wait_for(lambda: client.ready, "ready")
    flood = b"--a" + b"\r\n--a" * 2_000_000 + b"\r\n--a--"
    form = {"content_type": "multipart/form-data; boundary=a"}
    bad = Client(client.port, Tokens(plant.home / "tokens").new("bad", [Scope.ACT]))
    chunks = head(bad, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with ThreadPoolExecutor(20) as many:
        floods = [many.submit(bad.ask, "POST", "/inspect/pushed", flood, **form) for _ in "0" * 10]
        for _ in range(10):
            many.submit(pour, connections.enter_context(client.connected(chunks)), b"1\r\nx\r\n")
        good = [codec.encode_png(picture(195 + i)) for i in range(10)]
        honest = [client.inspect(data, "pushed", f"A-{i}") for i, data in enumerate(good)]
    assert [reply.json["verdict"] for reply in honest] == ["PASS"] * 10
    assert {reply.result().status for reply in floods if not reply.exception()} <= {422, 429}
    assert client.ready
    station.end()


def pour(connection: socket.socket, chunk: bytes) -> None:
    """Send the same again and again, until the station has had enough of it."""
    with suppress(OSError):
        for _ in range(100):
            connection.sendall(chunk * 10_000)


@pytest.mark.soak
def test_clients_that_wait_when_the_station_ends_get_their_answers(
    plant: Plant, client: Client
) -> None:
    file = line(plant, client, overload={"policy": "queue", "waiting": 100})
    station = plant.start(file, first=SLOW.replace("0.03", "0.3"))
    station.wait_for(lambda: client.ready, "ready")
    with ThreadPoolExecutor(10) as many:
        asked = [many.submit(client.inspect, GOOD, "pushed", f"A-{i}") for i in range(10)]
        station.wait_for(lambda: plant.book.count("camera = 'pushed'") == 10, "ten wait")
        station.end()
        replies = {f"A-{i}": reply.result() for i, reply in enumerate(asked)}
    answered = by_serial(replies)
    assert answered == dict(plant.book.ask(VERDICTS))
    assert len(answered) == 10


VERDICTS = "SELECT serial, verdict FROM records WHERE camera = 'pushed'"


def by_serial(replies: dict[str, Reply]) -> dict[str, str]:
    """The verdicts that were given; a sender that was refused at shutdown has none."""
    assert {reply.status for reply in replies.values()} <= {200, 503}
    return {s: reply.json["verdict"] for s, reply in replies.items() if reply.status == 200}
