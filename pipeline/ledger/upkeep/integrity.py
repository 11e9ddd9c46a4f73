"""Is the ledger's file whole? Asked at the start, and of a large file while the station works."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.ledger.database import DAMAGED, RECOVER, connect

# Read whole before the station starts: one second. A larger file is read beside its work.
AT_ONCE_BYTES = 256 * 2**20

log = logging.getLogger(__name__)


def made_beside(path: Path) -> Path:
    """Where a complete new ledger waits to be put in place."""
    real = path.resolve()
    return real.with_name(f"{real.name}.recovered")


def is_damage(error: BaseException) -> bool:
    """Does an error of SQLite report that the file itself is damaged?"""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in DAMAGED


def damage_of(db: sqlite3.Connection, *, indexes: bool = False) -> str:
    """What is wrong with a ledger's pages; "" where nothing is.

    Args:
        db: a connection to it.
        indexes: compare the indexes with their tables too, which takes several times as long.

    Raises:
        sqlite3.Error: it could not be read for another reason.
    """
    try:
        row = db.execute(f"PRAGMA {'integrity' if indexes else 'quick'}_check(1)").fetchone()
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        raise
    return "" if row[0] == "ok" else " ".join(str(row[0]).split())


class IntegrityCheck:
    """Reads a whole ledger in a thread of its own.

    That takes from four seconds a gigabyte, where it is in the system's cache, to what its disk
    needs: 26 were measured.

    Attributes:
        damage: what was found, "" while nothing is known.
    """

    def __init__(self, path: Path, *, needed: bool = True) -> None:
        """Begin nothing yet; where it is not `needed`, `start` does not either."""
        self.damage = ""
        self._needed = needed
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ledger check", daemon=True)

    def start(self) -> None:
        """Begin to read; once the ledger has its write-ahead log, which no reader may hinder."""
        if self._needed:
            self._thread.start()

    def wait(self) -> None:
        """Return once the file has been read."""
        self._thread.join()

    def stop(self) -> None:
        """End it, wherever it is."""
        self._stopping = True
        if (db := self._db) is not None:
            with suppress(sqlite3.ProgrammingError):  # it has just been closed
                db.interrupt()
        if self._thread.ident is not None:
            self._thread.join(0.1)  # SQLite may read on to the end, which harms nothing

    def _run(self) -> None:
        try:
            with closing(connect(self._path)) as self._db:
                found = "" if self._stopping else damage_of(self._db)
        except sqlite3.Error as error:
            if not self._stopping:
                log.warning("%s could not be checked: %s", self._path, error)
            return
        if found and not self._stopping:
            self.damage = f"{self._path} is damaged ({found}); {RECOVER}"


def checked(
    db: sqlite3.Connection, path: Path, at_once_bytes: int = AT_ONCE_BYTES
) -> IntegrityCheck:
    """Read a small ledger whole; of a large one, return the check that is to be started.

    Args:
        db: a connection to it.
        path: of the file.
        at_once_bytes: a larger file is read beside the station's work.

    Raises:
        LedgerError: it is damaged, or a recovery was not finished.
        sqlite3.Error: it cannot be read.
    """
    if made_beside(path).exists():
        raise LedgerError(
            f"{made_beside(path)} waits to take the place of {path}; run `lineside ledger recover "
            "LINE.yaml` again"
        )
    large = path.stat().st_size > at_once_bytes
    if not large and (found := damage_of(db)):
        raise LedgerError(f"{path} is damaged ({found}); {RECOVER}")
    return IntegrityCheck(path, needed=large)
