"""The ledger's file: the one way to open it for reading, its format and its size."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import LedgerError
from pipeline.ledger.schema import APPLICATION_ID, STEPS, VERSION

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # codes, without their details
RECOVER = "stop the station and run `lineside ledger recover LINE.yaml`"
BUSY_MS = 500  # to wait for another program that has locked the file


def connect(path: Path, *, write: bool = False, timeout_s: float = 5) -> sqlite3.Connection:
    """Open a ledger that exists, read-only unless `write`, beside a station that may be writing.

    In SQLite's write-ahead log a reader waits for no writer, and no writer for a reader.

    Args:
        path: of the file; it is never made.
        write: for what people add to closed records, such as reviews.
        timeout_s: how long to wait for another program that has locked the file.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}",
        uri=True,
        isolation_level=None,
        timeout=timeout_s,
        check_same_thread=False,
    )
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def connected(
    path: Path,
    needed_by: str,
    station: str | None = None,
    *,
    write: bool = False,
    timeout_s: float = 5,
) -> Iterator[sqlite3.Connection]:
    """A connection to a ledger of the present format, beside the station that may be writing.

    Args:
        path: of the ledger.
        needed_by: for messages, in the plural: `reviews`.
        station: whose ledger it must be; None: any station's.
        write: else the connection can change nothing.
        timeout_s: how long to wait for another program that has locked the file.

    Raises:
        LedgerError: there is no ledger, it is another station's, of another format, or in a state
            that cannot be read or written.
    """
    if not path.is_file():
        raise LedgerError(f"{path} is missing; `lineside run` makes it")
    try:
        with closing(connect(path, write=write, timeout_s=timeout_s)) as db:
            version = format_of(db, path)
            if version != VERSION:
                raise LedgerError(
                    f"{path} has ledger format {version}, {needed_by} need {VERSION}; start the "
                    "station once with this Lineside, which brings an older one up to date"
                )
            owner = db.execute("SELECT name FROM station").fetchone()[0]
            if station is not None and owner != station:
                raise LedgerError(f'{path} is the ledger of station "{owner}", not "{station}"')
            yield db
    except (sqlite3.Error, UnicodeError) as error:
        raise LedgerError(f"{path} cannot be used as a ledger ({error})") from error


class ReadConnection:
    """A read-only connection that stays open, for the station's own queries from any thread.

    It stays with the file that it was opened with, as the writer's does, whatever is moved to its
    path meanwhile.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which is there.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        self._path = path
        self._querying = threading.RLock()
        self._db = connect(path, timeout_s=BUSY_MS / 1e3)
        # Until the first query SQLite has not opened the log, and would look for it by its name.
        self._db.execute("SELECT name FROM station").fetchall()

    @contextmanager
    def querying(self) -> Iterator[sqlite3.Connection]:
        """The connection; each query is to be read to its end.

        Until then it holds a state of the file, and the write-ahead log grows.

        Raises:
            LedgerError: it cannot be read.
        """
        with one_at_a_time(self._path, self._querying):
            yield self._db

    def close(self) -> None:
        """Wait for the query that is running, and close the connection."""
        with one_at_a_time(self._path, self._querying):
            self._db.close()


@contextmanager
def one_at_a_time(path: Path, lock: AbstractContextManager[Any]) -> Iterator[None]:
    """One thread at a time, and SQLite's errors in words."""
    try:
        with lock:
            yield
    except (sqlite3.Error, OSError, UnicodeError) as error:
        remedy = "check the path, the rights and the free space, or give another path as `ledger`"
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
            remedy = f"if this is the station's ledger it is damaged: {RECOVER}"
        raise LedgerError(f"{path} cannot be used as a ledger ({error}); {remedy}") from error


def bring_up_to_date(db: sqlite3.Connection, path: Path, station: str) -> None:
    """Take the steps from the file's format to ours, all of them or none; an empty file takes all.

    Raises:
        LedgerError: not a ledger, another station's, or of a newer format.
        sqlite3.Error: it cannot be read or written.
    """
    if db.execute("SELECT 1 FROM sqlite_master").fetchone():
        _check(db, path, station)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    try:
        db.executescript(
            f"BEGIN IMMEDIATE; {' '.join(STEPS[version:])} "
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        )
        if version == 0:
            db.execute("INSERT INTO station VALUES (?)", (station,))
        db.execute("COMMIT")
    except sqlite3.Error:
        db.rollback()
        raise


def _check(db: sqlite3.Connection, path: Path, station: str) -> None:
    version = format_of(db, path)
    if not 1 <= version <= VERSION:
        raise LedgerError(
            f"{path} has ledger format {version}, this Lineside writes {VERSION}; "
            "use the Lineside that wrote it, or another path as `ledger`"
        )
    owner = db.execute("SELECT name FROM station").fetchone()[0]
    if owner != station:
        raise LedgerError(
            f'{path} is the ledger of station "{owner}", this is "{station}"; '
            "give each station its own `ledger`"
        )


def format_of(db: sqlite3.Connection, path: Path) -> int:
    """The version of a ledger's format; raises LedgerError when the file is not a ledger."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerError(
            f"{path} is a SQLite file but not a ledger; give another path as `ledger`"
        )
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


@dataclass(frozen=True)
class LedgerStatus:
    """The ledger's file, which only grows.

    Attributes:
        size_bytes: of the file and its write-ahead log; None when the system does not report it.
        free_bytes: of its disk; None when the system does not report it.
    """

    size_bytes: int | None = None
    free_bytes: int | None = None


def measured(path: Path) -> LedgerStatus:
    """How large a ledger is, with its write-ahead log, and how much more its disk has room for."""
    path = path.resolve()  # as SQLite does, for the name of the log
    try:
        size_bytes = path.stat().st_size
        with suppress(FileNotFoundError):  # no station is at work
            size_bytes += path.with_name(f"{path.name}-wal").stat().st_size
        return LedgerStatus(size_bytes, shutil.disk_usage(path.parent).free)
    except OSError:
        return LedgerStatus()
