"""The lock that keeps a second station from a ledger, by whatever name it reaches the file.

Two locks are held. One is on the ledger's file itself, in a place that SQLite does not use: it is
found through symbolic links, hard links and mounts, and outlives its lock file. The other is on a
lock file beside the ledger, by which readers see that a station is at work. They must not ask the
ledger's file: to close any handle on it drops SQLite's own locks of the same process.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from pipeline.errors import LedgerError

LOCK_TRIES, LOCK_PAUSE_S = 5, 0.05
AT_BYTE = 1 << 62  # behind every byte that SQLite writes or locks
_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid
_UNSUPPORTED = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

log = logging.getLogger(__name__)


class LedgerLock:
    """The locks of a station at work; `close` lets others in."""

    def __init__(self, path: Path) -> None:
        """Lock a ledger against a second station, which would close this one's open record.

        Args:
            path: of the ledger; an empty file is made where there is none.

        Raises:
            LedgerError: another station is at work on it.
            OSError: it cannot be opened.
        """
        self._path = path
        self._beside = lock_file(path)
        self._handle = self._taken(LOCK_TRIES)
        try:
            self._own = _opened(path)
            _lock_own(self._own, path)
        except BaseException:
            self._handle.close()
            raise

    def check(self) -> str:
        """Make the lock file again where somebody removed or replaced it, and return that in words.

        Call it often; "" where nothing has happened. Readers take the station for gone meanwhile.
        """
        if _is_at(self._handle, self._beside):
            return ""
        try:
            handle = self._taken(1)
        except (OSError, LedgerError):  # try again at the next call
            return ""
        self._handle.close()
        self._handle = handle
        return f"{self._beside} was removed or replaced while the station was at work; made again"

    def close(self) -> None:
        """Let others in; after SQLite's connections of this process are closed."""
        self._own.close()
        self._handle.close()

    def _taken(self, tries: int) -> FileIO:
        """A handle on the lock file that is locked and still is the file of that name."""
        for left in reversed(range(tries)):
            handle = _opened(self._beside)
            # `in_use` of another process holds it for a moment, too.
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(handle, self._beside):
                    return handle
            handle.close()
            if left:
                time.sleep(LOCK_PAUSE_S)
        raise _refusal(self._path)


def _opened(path: Path) -> FileIO:
    """A file to read and write; made where there is none, and never emptied."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")


def lock_file(path: Path) -> Path:
    """The lock file of a ledger, beside the file that `path` leads to."""
    real = path.resolve()
    return real.with_name(f"{real.name}.lock")


@contextmanager
def only_one(path: Path, work: str) -> Iterator[None]:
    """Keep a second program from the same work on a ledger, which a station may be using.

    Raises:
        LedgerError: one is at work.
        OSError: the lock file cannot be written.
    """
    beside = lock_file(path).with_suffix(f".{work}.lock")
    with _opened(beside) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(
                f"another `lineside ledger {work}` is at work on {path}; wait for its end"
            ) from None
        yield


def in_use(path: Path) -> bool:
    """Is a station at work on this ledger?"""
    try:
        with lock_file(path).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _lock_own(handle: FileIO, path: Path) -> None:
    """Lock the ledger's file itself, for as long as `handle` is open."""
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, AT_BYTE, 1, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise _refusal(path) from None
        if error.errno not in _UNSUPPORTED:
            raise
        log.warning(
            "%s: its file system has no locks on files (%s); a second station is only kept out by "
            "%s, which must not be removed",
            *(path, error.strerror, lock_file(path).name),
        )


def _is_at(handle: FileIO, path: Path) -> bool:
    """Is an open file still the one of this name?"""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except OSError:
        return False


def _refusal(path: Path) -> LedgerError:
    return LedgerError(
        f"{path} is in use by another `lineside run`; stop that one, or give this station its own "
        "`ledger`"
    )
