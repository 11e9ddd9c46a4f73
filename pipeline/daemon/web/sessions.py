"""Sessions of browsers: who has logged in with which token, until when.

A session's secret is in the browser's cookie alone; here and on the disk stands its hash. A session
ends with its time, with a log out, and with its token: revoking that ends all of its sessions.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.daemon.web.tokens import Scope, Token, Tokens
from pipeline.files import whole_file

LOOKING = timedelta(days=90)  # a screen at the wall, whose token opens nothing but records
WORKING = timedelta(hours=12)  # people who judge or act; no shift is longer
MOST = 1000  # sessions; the oldest gives way
_LINE = re.compile(r"([0-9a-f]{64}) ([0-9a-f]{64}) (\S+)")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BrowserSession:
    """One browser that has logged in.

    Attributes:
        token_sha256: of the token it has logged in with, in hexadecimal.
        until: when it ends, with a time zone.
    """

    token_sha256: str
    until: datetime


class Sessions:
    """The sessions of one station; they outlive a restart. May be used from any thread."""

    def __init__(
        self,
        tokens: Tokens,
        file: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the sessions that were begun before.

        Args:
            tokens: that may log in.
            file: where sessions are kept, made at the first log in. Where it cannot be read or
                written, sessions end with the process.
            now: the time of day, in UTC.
        """
        self._tokens = tokens
        self._file = file
        self._now = now
        self._lock = threading.Lock()
        self._known = _read(file)

    def begin(self, token: str) -> tuple[str, timedelta] | None:
        """Begin a session; writes to the disk.

        Returns:
            Its secret and how long it lasts; None where the token opens nothing.
        """
        bearer = self._tokens.bearer(token)
        if bearer is None:
            return None
        lasts = LOOKING if bearer.scopes <= {Scope.READ} else WORKING
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._known[_hash(secret)] = BrowserSession(bearer.sha256, self._now() + lasts)
            self._write()
        return secret, lasts

    def bearer(self, secret: str) -> Token | None:
        """The token that a session was begun with; None where it has ended."""
        session = self._known.get(_hash(secret))
        if session is None or session.until <= self._now():
            return None
        return self._tokens.with_hash(session.token_sha256)

    def end(self, secret: str) -> None:
        """End a session; writes to the disk."""
        with self._lock:
            if self._known.pop(_hash(secret), None) is not None:
                self._write()

    def _write(self) -> None:
        """Keep those that have not ended, the newest `MOST` of them."""
        now = self._now()
        running = [(key, s) for key, s in self._known.items() if s.until > now]
        self._known = dict(running[-MOST:])
        lines = [f"{k} {s.token_sha256} {s.until.isoformat()}\n" for k, s in self._known.items()]
        try:
            with whole_file(self._file, mode=0o600) as out:
                out.write("".join(lines).encode())
        except OSError as error:
            log.warning(
                "%s cannot be written (%s): who has logged in has to log in again after a restart",
                self._file,
                error.strerror,
            )


def _read(file: Path) -> dict[str, BrowserSession]:
    try:
        lines = file.read_text("utf-8").splitlines()
        found = (_LINE.fullmatch(line) for line in lines)
        return {
            m[1]: BrowserSession(m[2], datetime.fromisoformat(m[3]).astimezone(UTC))
            for m in found
            if m
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): who had logged in has to log in again", file, error)
        return {}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
