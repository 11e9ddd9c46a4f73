"""Records and events to an HTTP server, one POST each, signed as Standard Webhooks 1.0.0 asks.

The body is the record, or the event, as JSON. `webhook-id` is its id, the same with every try, so
that the receiver can recognise a second delivery; `webhook-timestamp` is the time of the try in
seconds; `webhook-signature` is `v1,` and the Base64 of
HMAC-SHA256(key, "<id>.<timestamp>.<body>"), where the secret reads `whsec_<Base64 of the key>`
(https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pipeline.contracts.records import Record
from pipeline.daemon.net.http_client import HttpConnection
from pipeline.daemon.net.secret import read_secret
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sinks import RecordRefused, Sink, SinkConfig, SinkDown, message
from pipeline.errors import ConfigError

# What speaks of this record alone: malformed, in conflict, too large, not to be processed. All else
# (who we are, where and how we ask) would give up every record for one wrong setting.
OF_THE_RECORD = {400, 409, 413, 422}
LONGEST_RETRY_AFTER_S = 600


class Config(SinkConfig):
    """Settings of a webhook."""

    type: Literal["webhook"] = Field(description="webhook")
    url: str = Field(description="URL that records are POSTed to; http or https.")
    secret_env: str | None = Field(
        None,
        description="Environment variable with the signing secret; without one and without "
        "`secret_file` requests are not signed.",
    )
    secret_file: Path | None = Field(
        None, description="File with the signing secret, instead of `secret_env`."
    )
    ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) of the authority that signs the server's; none: those "
        "that this machine trusts.",
    )

    @field_validator("url")
    @classmethod
    def _complete(cls, url: str) -> str:
        parts = urlsplit(url)
        if not url.isascii() or any(c <= " " for c in url) or parts.port == 0:
            raise ValueError(
                "write a URL with a port above 0, without spaces, in ASCII (%-encoded)"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write http:// or https://, a host, and a path if there is one")
        if parts.username or parts.password:
            raise ValueError("no password here: receivers verify the signature instead")
        return url

    @model_validator(mode="after")
    def _one_secret(self) -> Config:
        if self.secret_env and self.secret_file:
            raise ValueError("give `secret_env` or `secret_file`, not both")
        return self

    def open(self, station: str, clock: Clock) -> Webhook:
        """Read the secret and the certificate; connecting is for later."""
        return Webhook(self, clock)


class Webhook(Sink):
    """One record a request: so each has its own answer, and a bad one does not hold up others."""

    batch = 1

    def __init__(self, config: Config, clock: Clock) -> None:
        self._clock = clock
        self._key = _key(config)
        parts = urlsplit(config.url)
        self._where = parts.netloc  # for messages: a path may hold a token
        self._path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        context = _context(config) if parts.scheme == "https" else None
        assert parts.hostname is not None  # the settings saw to it
        self._exchange = HttpConnection(parts.hostname, parts.port, context, config.timeout_s)

    def deliver(self, records: Sequence[Record]) -> None:
        """POST each; any answer in time but 2xx is a refusal."""
        for record in records:
            self._post(record.id, message(record, self.records_at))

    def notify(self, event: Mapping[str, Any]) -> None:
        """POST it, as a record."""
        self._post(event["id"], event)

    def close(self) -> None:
        self._exchange.close()

    def _post(self, identity: str, content: Mapping[str, Any]) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        try:
            answer = self._exchange.post(self._path, body, self._headers(identity, body))
        except ssl.SSLCertVerificationError as error:
            raise SinkDown(
                f"{self._where}: its certificate is not trusted ({error.verify_message}); "
                "check `ca_file`"
            ) from error
        except TimeoutError as error:
            raise SinkDown(f"{self._where}: no whole answer in time") from error
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise SinkDown(f"{self._where}: {why}") from error
        status = answer.status
        if 200 <= status < 300:
            return
        answered = f"{self._where} answered {status} {answer.reason}".rstrip()
        if status in OF_THE_RECORD:
            raise RecordRefused(identity, answered)
        if 300 <= status < 400:
            answered += ": redirects are not followed; write the new address as `url`"
        raise SinkDown(answered, _retry_after_s(answer, self._clock.now()))

    def _headers(self, identity: str, body: bytes) -> dict[str, str]:
        at = str(int(self._clock.now().timestamp()))
        headers = {
            "content-type": "application/json",
            "user-agent": "lineside",
            "webhook-id": identity,
            "webhook-timestamp": at,
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, identity, at, body)
        return headers


def signature(key: bytes, identity: str, timestamp: str, body: bytes) -> str:
    """Value of `webhook-signature`, which a receiver compares with `hmac.compare_digest`."""
    signed = b".".join((identity.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _key(config: Config) -> bytes | None:
    """The key in the secret; None where requests go unsigned."""
    what = f"the signing secret of sink {config.outbox}"
    secret = read_secret(what, config.secret_env, config.secret_file)
    if secret is None:
        return None
    with suppress(binascii.Error, ValueError):
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        if secret.startswith("whsec_") and 24 <= len(key) <= 64:
            return key
    raise ConfigError(
        f"{what} must be whsec_ and the Base64 of 24 to 64 bytes; make one with: "
        'echo "whsec_$(openssl rand -base64 32)"'
    )


def _context(config: Config) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"sink {config.outbox}: ca_file {config.ca_file} is not a certificate ({error})"
        ) from error


def _retry_after_s(answer: HTTPResponse, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, up to ten minutes; None without or if it is nonsense."""
    asked = answer.getheader("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(asked) - now).total_seconds()
        except (TypeError, ValueError):
            return None
    return min(seconds, LONGEST_RETRY_AFTER_S) if math.isfinite(seconds) and seconds > 0 else None
