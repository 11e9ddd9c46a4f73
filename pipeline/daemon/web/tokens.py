"""Access tokens of the web service: random, shown once, stored as hashes.

The file has one token a line: name, scopes and SHA-256 of the token. A token is 256 random bits, so
unlike a password it cannot be guessed from its hash, however fast the hash is: a slow one (bcrypt,
Argon2) would add nothing but milliseconds to each request.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import ConfigError, choices
from pipeline.files import sole_writer, whole_file
from pipeline.plugins import NAME

PREFIX = "lineside_"  # by which scanners for leaked secrets know one
HEAD = "# name scopes sha256 -- written by `lineside token`; the tokens themselves are nowhere\n"
_HASH = re.compile(r"[0-9a-f]{64}")

log = logging.getLogger(__name__)


class Scope(StrEnum):
    """What a token allows."""

    READ = "read"  # records, frames and the station's state
    JUDGE = "judge"  # classify a part, as `lineside review` does
    ACT = "act"  # send pictures, trigger


@dataclass(frozen=True)
class Token:
    """One token as it is stored.

    Attributes:
        name: who bears it.
        scopes: what it opens.
        sha256: of the token, in hexadecimal.
    """

    name: str
    scopes: frozenset[Scope]
    sha256: str


class Tokens:
    """The tokens of one file. May be used from any thread; changes of the file count at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._known: tuple[Token, ...] = ()
        self._fault = ""

    def check(self) -> None:
        """Raise ConfigError when the file cannot be used."""
        self.all()

    def all(self) -> tuple[Token, ...]:
        """All tokens in the order of the file.

        Raises:
            ConfigError: it is missing, damaged, or others may write to it.
        """
        try:
            status = self.path.stat()
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            raise ConfigError(
                f"{self.path}: there is no such file of tokens; make the first token: "
                "lineside token new LINE.yaml NAME --scope act"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read as a file of tokens ({error})") from None
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"{self.path} may be written by others, who could add a token of their own; run: "
                f"chmod 600 {self.path}"
            )
        lines = enumerate(text.splitlines(), 1)
        return tuple(
            _token(line, f"{self.path}:{n}")
            for n, line in lines
            if line.strip() and not line.startswith("#")
        )

    def bearer(self, secret: str) -> Token | None:
        """The owner of a token, None for an unknown one; a file that cannot be used allows none."""
        return self.with_hash(_sha256(secret))

    def with_hash(self, sha256: str) -> Token | None:
        """The token with this hash, in hexadecimal; None where there is none any more."""
        found = None
        # All are compared, each in constant time: the time it takes reveals nothing of any hash.
        for token in self._fresh():
            if hmac.compare_digest(token.sha256, sha256):
                found = token
        return found

    def new(self, name: str, scopes: Iterable[Scope]) -> str:
        """Add a token and return it; it cannot be shown again.

        Raises:
            ConfigError: the name is taken or no name, no scope, or the file cannot be used.
        """
        if not re.match(NAME, name):
            raise ConfigError(f'"{name}" is not a name for a token; use letters, digits, - _ and .')
        opened = frozenset(scopes)
        if not opened:
            raise ConfigError(f'token "{name}" would open nothing; choose {", ".join(Scope)}')
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._changed():
            known = self.all() if self.path.exists() else ()
            if any(token.name == name for token in known):
                raise ConfigError(
                    f'{self.path} has a token "{name}" already; choose another name, or first run: '
                    f"lineside token revoke LINE.yaml {name}"
                )
            self._write([*known, Token(name, opened, _sha256(secret))])
        return secret

    def revoke(self, name: str) -> None:
        """Remove a token; a running station refuses it from the next request on.

        Raises:
            ConfigError: no such token, or the file cannot be used.
        """
        self.check()
        with self._changed():
            known = self.all()
            left = [token for token in known if token.name != name]
            if len(left) == len(known):
                names = choices(name, [t.name for t in known]) if known else "there is none"
                raise ConfigError(f'{self.path} has no token "{name}"; {names}')
            self._write(left)

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """The file is read and written again in the block, by nobody else meanwhile."""
        try:
            with sole_writer(self.path):
                yield
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be changed ({error.strerror})") from error

    def _fresh(self) -> tuple[Token, ...]:
        """The tokens as the file has them now; read again only if it changed."""
        with self._lock:
            seen: tuple[int, ...] = ()
            with suppress(OSError):
                status = self.path.stat()
                seen = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)
            if not seen or seen != self._seen:
                self._seen = seen
                self._read()
            return self._known

    def _read(self) -> None:
        try:
            self._known, self._fault = self.all(), ""
        except ConfigError as error:
            if str(error) != self._fault:
                log.error("no token opens anything: %s", error)
            self._known, self._fault = (), str(error)

    def _write(self, tokens: Iterable[Token]) -> None:
        lines = [f"{t.name} {','.join(sorted(t.scopes))} {t.sha256}\n" for t in tokens]
        with whole_file(self.path, mode=0o600) as out:
            out.write((HEAD + "".join(lines)).encode())
            if os.geteuid() == 0:
                # Made by an administrator, to be read by the station's own user. By its handle:
                # that user may put something else in the place of the name.
                of = (self.path if self.path.exists() else self.path.parent).stat()
                os.fchown(out.fileno(), of.st_uid, of.st_gid)


def _token(line: str, where: str) -> Token:
    name, scopes, sha256, *rest = [*line.split(), "", "", ""]
    if any(rest) or not _HASH.fullmatch(sha256):
        raise ConfigError(f"{where} is not a token; a line has name, scopes and SHA-256")
    given = scopes.split(",")
    if unknown := next((s for s in given if s not in set(Scope)), None):
        raise ConfigError(f'{where} scope "{unknown}" unknown; {choices(unknown, Scope)}')
    return Token(name, frozenset(map(Scope, given)), sha256)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
