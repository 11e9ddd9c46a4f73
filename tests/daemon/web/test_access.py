"""Who may ask the station what."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.daemon.settings.http import Http
from pipeline.daemon.station import Station
from pipeline.daemon.web import server
from pipeline.daemon.web.server import Web
from pipeline.daemon.web.tokens import Scope, Tokens
from pipeline.errors import ConfigError
from tests.daemon.web.conftest import TIMEOUT_S, Fired, Serve

pytestmark = pytest.mark.slow

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
def test_nothing_tells_strangers_what_there_is(serve: Serve, path: str) -> None:
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


def test_answers_are_kept_by_nobody_and_framed_nowhere(serve: Serve) -> None:
    headers = serve().ask("GET", "/status").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


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


def test_who_never_ends_the_handshake_of_tls_is_ended(
    serve: Serve, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.3)
    served = serve(tls_cert=certificate[0], tls_key=certificate[1])
    with socket.create_connection(("127.0.0.1", served.port), TIMEOUT_S) as silent:
        assert silent.recv(1) == b""


def test_a_key_that_does_not_fit_is_told_before_the_station_starts(
    station: Station, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, _ = certificate
    with pytest.raises(ConfigError, match=r"http\.tls_cert .*cert\.pem and http\.tls_key"):
        Web(Http(port=0, tls_cert=cert, tls_key=cert), station, None)


def test_a_port_that_is_taken_is_told_before_the_station_starts(station: Station) -> None:
    with (
        closing(Web(Http(port=0), station, None)) as web,
        pytest.raises(ConfigError, match=r"127\.0\.0\.1 port [0-9]+ cannot be listened at"),
    ):
        Web(Http(port=web.port), station, None)


def test_an_address_that_is_not_ours_is_told_before_the_station_starts(station: Station) -> None:
    settings = Http(host="192.0.2.1", tokens=Path("x"), plain="only for this test").model_copy(
        update={"tokens": None}
    )
    with pytest.raises(ConfigError, match=r"http: 192\.0\.2\.1 port 8711 cannot be listened at"):
        Web(settings, station, None)


def test_a_missing_file_of_tokens_is_told_before_the_station_starts(
    station: Station, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="make the first token: lineside token new"):
        Web(Http(tokens=tmp_path / "none"), station, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "name a file of `tokens`"),
        ({"host": "station.example"}, "name a file of `tokens`"),
        ({"host": "0.0.0.0", "tokens": "t"}, "give `tls_cert` and `tls_key`, or in `plain`"),
        ({"host": "::", "tokens": "t", "plain": "because"}, "at least 10 characters"),
        ({"host": "0.0.0.0", "open_on_loopback": True}, "for 127.0.0.1 only"),
        ({"tls_cert": "c"}, "belong together"),
    ],
)
def test_a_station_that_others_reach_must_be_closed_to_strangers(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Http.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "::1"},
        {"host": "0.0.0.0", "tokens": "t", "tls_cert": "c", "tls_key": "k"},
        {"host": "10.0.0.7", "tokens": "t", "plain": "nginx on this machine adds TLS"},
    ],
)
def test_a_station_that_is_closed_to_strangers_may_listen(settings: dict[str, object]) -> None:
    assert Http.model_validate(settings).port == 8711
