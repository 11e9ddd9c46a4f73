"""Who may ask the station what."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.contracts.records import Record
from pipeline.daemon.web import access
from pipeline.daemon.web.records import KeptRecords
from pipeline.daemon.web.tokens import Scope, Tokens
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Fired, Serve

READING = ["/status", "/records?serial=7", "/records/0", "/records/0/frame"]
ACTING = ["/inspect", "/inspect/camera", "/trigger", "/trigger/camera?wait=false"]


@pytest.mark.parametrize("path", READING)
def test_what_shows_parts_needs_a_token_that_reads(
    serve: Serve, tokens: Tokens, reader: str, actor: str, path: str
) -> None:
    served = serve(tokens=tokens.path)
    without, wrong = served.ask("GET", path), served.ask("GET", path, authorization=actor)
    right = served.ask("GET", path, authorization=reader)
    assert (without.status, wrong.status) == (401, 403)
    assert without.headers["www-authenticate"] == "Bearer"
    assert wrong.detail == 'token "plc" has scope act; this needs read'
    assert right.status in (200, 404)


@pytest.mark.parametrize("path", ACTING)
def test_what_triggers_needs_a_token_that_acts(
    serve: Serve, tokens: Tokens, reader: str, actor: str, path: str
) -> None:
    served = serve(tokens=tokens.path, trigger=Fired())
    without, wrong = served.send(200, path), served.send(200, path, authorization=reader)
    assert (without.status, wrong.status) == (401, 403)
    assert served.station.ledger.account().triggers == 0
    assert served.send(200, path, authorization=actor).status in (200, 202)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_shows_no_part_needs_no_token(serve: Serve, tokens: Tokens, path: str) -> None:
    tokens.new("desk", [Scope.READ])
    assert serve(tokens=tokens.path).ask("GET", path).status == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/"])
def test_a_station_lists_its_addresses_to_nobody(serve: Serve, path: str) -> None:
    assert serve().ask("GET", path).status == 404


@pytest.mark.parametrize(
    "authorization", ["Bearer ", "Bearer lineside_x", "Basic {}", "{}", "Bearer {} x", "Bearer é"]
)
def test_a_wrong_token_opens_nothing_and_is_not_logged(
    serve: Serve,
    tokens: Tokens,
    reader: str,
    authorization: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = reader.removeprefix("Bearer ")
    served = serve(tokens=tokens.path)
    reply = served.ask("GET", "/status", authorization=authorization.format(secret))
    assert reply.status == 401
    assert secret not in caplog.text
    assert "lineside_x" not in caplog.text


def test_refused_requests_are_logged_up_to_a_limit_and_then_counted(
    serve: Serve,
    tokens: Tokens,
    reader: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "REFUSALS_PERIOD_S", 1.0)
    monkeypatch.setattr(access, "REFUSALS_SHOWN", 2)

    def logged() -> tuple[int, int]:
        """The refusals that have a line of their own, and those that are counted."""
        lines = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
        counts = [int(line.split()[0]) for line in lines if "further" in line]
        return len(lines) - len(counts), sum(counts)

    served = serve(tokens=tokens.path)
    for _ in range(20):
        assert served.ask("GET", "/status", authorization="Bearer x").status == 401
    until(lambda: sum(logged()) == 20)
    assert logged()[1] > 0


def test_a_token_is_made_and_revoked_while_the_station_runs(
    serve: Serve, tokens: Tokens, reader: str
) -> None:
    served = serve(tokens=tokens.path)
    late = f"Bearer {tokens.new('late', [Scope.READ])}"
    assert served.ask("GET", "/status", authorization=late).status == 200
    tokens.revoke("late")
    assert served.ask("GET", "/status", authorization=late).status == 401
    assert served.ask("GET", "/status", authorization=reader).status == 200


def test_tokens_that_cannot_be_read_any_more_open_nothing(
    serve: Serve, tokens: Tokens, reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(tokens=tokens.path)
    tokens.path.chmod(0o666)
    assert served.ask("GET", "/status", authorization=reader).status == 401
    assert "may be written by others" in caplog.text
    tokens.path.chmod(0o600)
    assert served.ask("GET", "/status", authorization=reader).status == 200


def test_without_tokens_a_station_shows_no_part_even_on_loopback(serve: Serve) -> None:
    served = serve(open_on_loopback=False)
    assert served.ask("GET", "/healthz").status == 200
    assert [served.ask("GET", path).status for path in READING] == [401] * 4
    assert "lineside token new" in served.send().detail
    assert served.station.ledger.account().triggers == 0


def test_a_wrong_token_is_refused_where_none_is_needed(serve: Serve, tokens: Tokens) -> None:
    tokens.new("desk", [Scope.READ])
    served = serve(tokens=tokens.path, open_on_loopback=True)
    assert served.ask("GET", "/status").status == 200
    assert served.ask("GET", "/status", authorization="Bearer wrong").status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8711", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_was_bent_to_loopback_is_refused(serve: Serve, host: str) -> None:
    served = serve()
    for path in ("/metrics", "/status"):
        assert served.ask("GET", path, **{"Host": host}).status == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8711", "line7.example"])
def test_the_stations_own_names_are_taken(serve: Serve, host: str) -> None:
    assert serve(hosts=["line7.example"]).ask("GET", "/healthz", **{"Host": host}).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_a_page_of_another_site_triggers_nothing(serve: Serve, sent: dict[str, str]) -> None:
    served = serve()
    assert served.send(200, **{"Host": "localhost"} | sent).status == 403
    assert served.station.ledger.account().triggers == 0


def test_the_stations_own_page_and_a_followed_link_are_served(serve: Serve) -> None:
    served = serve()
    own = {"Host": "localhost", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.send(200, **own).status == 200
    assert served.ask("GET", "/status", **followed).status == 200


def test_answers_are_cached_and_framed_nowhere(serve: Serve) -> None:
    headers = serve().ask("GET", "/status").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_many_readers_keep_nobody_from_health_and_verdicts(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    reading, go_on = threading.Event(), threading.Event()

    def slow(archive: KeptRecords, serial: str) -> list[Record]:
        reading.set()
        go_on.wait(TIMEOUT_S)
        return []

    monkeypatch.setattr(access, "READERS", 1)
    monkeypatch.setattr(KeptRecords, "of_serial", slow)
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
