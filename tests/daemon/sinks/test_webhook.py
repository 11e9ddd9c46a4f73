"""Records to a real HTTP server on loopback that is up, down, slow, failing or picky."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.contracts.records import Record
from pipeline.daemon.sinks import RecordRefused, SinkDown, message
from pipeline.daemon.sinks.webhook import Config, Webhook, signature
from pipeline.errors import ConfigError
from pipeline.testing import FakeClock
from tests.daemon.receiver import Receiver, receiving

Records = Callable[[int], list[Record]]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def opened(url: str, clock: FakeClock | None = None, **settings: Any) -> Webhook:
    config = Config.model_validate({"type": "webhook", "url": url, "timeout_s": 5, **settings})
    return config.open("west-1", clock or FakeClock())


def test_each_record_is_posted_as_json_under_its_id(receiver: Receiver, records: Records) -> None:
    given = records(3)
    opened(receiver.url).deliver(given)
    assert [json.loads(body) for _, body in receiver.requests] == [message(r) for r in given]
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == [r.id for r in given]
    assert {headers["content-type"] for headers, _ in receiver.requests} == {"application/json"}


def test_a_record_that_has_a_page_carries_its_address(receiver: Receiver, records: Records) -> None:
    sink, (record,) = opened(receiver.url), records(1)
    sink.records_at = "https://west-1.plant/records/"
    sink.deliver([record])
    ((_, body),) = receiver.requests
    url = f"https://west-1.plant/records/{record.id}"
    assert json.loads(body) == message(record) | {"url": url}


def test_an_event_is_posted_under_its_own_id_and_may_be_refused(receiver: Receiver) -> None:
    event = {"type": "quality.signal", "id": "west-1-event-7", "data": {"test": 1}}
    sink = opened(receiver.url)
    sink.notify(event)
    ((headers, body),) = receiver.requests
    assert (headers["webhook-id"], json.loads(body)) == ("west-1-event-7", event)
    receiver.status = 422
    with pytest.raises(RecordRefused, match="answered 422"):
        sink.notify(event)


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """What a receiver does, from the specification rather than from our code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(part, f"v1,{mac}") for part in headers["webhook-signature"].split(" ")
    )


def test_receiver_can_verify_what_came_and_finds_what_was_altered(
    receiver: Receiver, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    opened(receiver.url, secret_env="HOOK_SECRET").deliver(records(1))
    ((headers, body),) = receiver.requests
    assert verified(SECRET, headers, body)
    assert not verified(SECRET, headers, body.replace(b"FAIL", b"PASS"))
    assert not verified(SECRET, {**headers, "webhook-timestamp": "1"}, body)
    assert not verified("whsec_" + base64.b64encode(b"another" * 5).decode(), headers, body)


def test_signature_is_that_of_the_standards_example() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_second_try_has_the_same_id_and_body(receiver: Receiver, records: Records) -> None:
    sink, given = opened(receiver.url), records(1)
    receiver.status = 500
    with pytest.raises(SinkDown):
        sink.deliver(given)
    receiver.status = 200
    sink.deliver(given)
    (first, second) = receiver.requests
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == second[0]["webhook-id"]


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 408, 410, 415, 429, 500, 503])
def test_answer_that_does_not_concern_the_record_is_an_outage(
    receiver: Receiver, records: Records, status: int
) -> None:
    receiver.status = status
    with pytest.raises(SinkDown, match=f"answered {status}") as caught:
        opened(receiver.url).deliver(records(1))
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_answer_that_rejects_the_record_is_for_good(
    receiver: Receiver, records: Records, status: int
) -> None:
    receiver.status = status
    (given,) = records(1)
    with pytest.raises(RecordRefused, match=f"answered {status}") as caught:
        opened(receiver.url).deliver([given])
    assert caught.value.record == given.id


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7),
        ("100000", 600),
        ("-3", None),
        ("soon", None),
        ("nan", None),
        (format_datetime(FakeClock().now() + timedelta(seconds=90), usegmt=True), 90),
    ],
)
def test_receiver_may_ask_for_time(
    receiver: Receiver, records: Records, asked: str, seconds: float | None
) -> None:
    receiver.status, receiver.answer_headers = 503, {"retry-after": asked}
    with pytest.raises(SinkDown) as caught:
        opened(receiver.url).deliver(records(1))
    assert caught.value.retry_after_s == seconds


def test_server_that_is_away_is_an_outage(records: Records) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SinkDown, match="Connection refused"):
        opened(f"http://127.0.0.1:{port}").deliver(records(1))


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command.split(), *names, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    return cert, key


@pytest.mark.slow
def test_certificate_is_verified(receiver: Receiver, records: Records, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    with pytest.raises(SinkDown, match="its certificate is not trusted"):
        opened(url).deliver(records(1))
    opened(url, ca_file=cert).deliver(records(1))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_server_that_does_not_answer_in_time_is_an_outage(records: Records, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SinkDown, match="no whole answer in time"):
            opened(url, timeout_s=0.3).deliver(records(1))


@pytest.mark.parametrize("secret", ["plain", "whsec_c2hvcnQ=", "whsec_***"])
def test_text_that_is_not_a_secret_is_refused_without_showing_it(
    tmp_path: Path, secret: str
) -> None:
    (tmp_path / "secret").write_text(secret)
    with pytest.raises(ConfigError, match="must be whsec_") as caught:
        opened("http://localhost/", secret_file=tmp_path / "secret")
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["ftp://a/b", "http://", "https://user:pw@host/", "http://host:99999/", "http://host/a b"],
)
def test_address_that_cannot_be_posted_to_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"type": "webhook", "url": url})
