"""Disk space that is set aside for the ledger, to be released when the disk is full."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.errors import LedgerError

# Some 29,000 records without outboxes; 4 MB of it go to SQLite's write-ahead log.
SIZE_BYTES = 16 * 2**20
TRY_EVERY_S = 10.0
# Of file systems that cannot set space aside without writing it.
NOT_KNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV)
ZEROS = bytes(2**16)

log = logging.getLogger(__name__)


class DiskReserve:
    """A file beside the ledger that holds nothing but space.

    When SQLite cannot write for want of space, the station removes it and can go on writing
    records while frames are thinned out, and makes it again once there is room. For one thread at
    a time.
    """

    def __init__(
        self, ledger: Path, monotonic_s: Callable[[], float], size_bytes: int = SIZE_BYTES
    ) -> None:
        """Create nothing yet; `restore` does."""
        self.path = ledger.with_name(f"{ledger.name}.reserve")
        self._monotonic_s = monotonic_s
        self._size_bytes = size_bytes
        self._tried_s: float | None = None
        self._warned = False

    @property
    def held(self) -> bool:
        """Is the space set aside?"""
        try:
            return self.path.stat().st_size == self._size_bytes
        except OSError:
            return False

    def release(self) -> bool:
        """Give the space up; False when there was none, and nothing is left to be done here."""
        held = self.held
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.error("%s cannot be removed (%s): the ledger's disk stays full", self.path, error)
            return False
        if held:
            log.error(
                "the ledger's disk is full: its reserve of %d MB was given up, so that records can "
                "be written for a while; make room on the disk of %s",
                *(self._size_bytes // 2**20, self.path.parent),
            )
            self._tried_s = self._monotonic_s()  # not at once again
            self._warned = True
        return held

    def restore(self) -> bool:
        """Set the space aside if that is possible; returns whether it is. May be called often.

        It is taken only where as much again stays free, so that it never fills the disk itself.
        """
        now_s = self._monotonic_s()
        if self._tried_s is not None and now_s - self._tried_s < TRY_EVERY_S:
            return self.held
        self._tried_s = now_s
        if self.held:
            return True
        try:
            self._take()
        except OSError as error:
            with suppress(OSError):  # as on a disk that may only be read
                self.path.unlink(missing_ok=True)
            if not self._warned:
                log.warning(
                    "no %d MB can be set aside for the ledger (%s): when this disk is full, no "
                    "record can be written; make room on the disk of %s",
                    *(self._size_bytes // 2**20, error.strerror or error, self.path.parent),
                )
            self._warned = True
            return False
        if self._warned:
            log.warning("there is room for the ledger again: its reserve is set aside")
        self._warned = False
        return True

    def _take(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.path.parent).free < 2 * self._size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self.path.open("wb") as handle:
            # Not truncate, which would make a hole that takes no space.
            try:
                os.posix_fallocate(handle.fileno(), 0, self._size_bytes)
            except OSError as error:
                if error.errno not in NOT_KNOWN:
                    raise
                for _ in range(0, self._size_bytes, len(ZEROS)):
                    handle.write(ZEROS)
                handle.truncate(self._size_bytes)


def disk_full(error: LedgerError) -> bool:
    """Could the ledger not be written for want of space?"""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # Codes of its own, and those of a write-ahead log whose shared memory cannot grow.
        return getattr(cause, "sqlite_errorcode", None) in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR_SHMSIZE,
            sqlite3.SQLITE_IOERR_WRITE,
        )
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
