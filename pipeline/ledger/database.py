"""A ledger's file as all see it who open it: who is at work on it, its format, rows and size."""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.contracts.records import Record, Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.schema import APPLICATION_ID, STEPS, VERSION

LOCK_TRIES, LOCK_PAUSE_S = 5, 0.05
BUSY_MS = 500  # to wait for another program that has locked the file


class Reader:
    """A connection for questions: it waits for no writer of the file, and no writer waits for it.

    From as many threads as like to ask. It stays with the file that it was opened with, as the
    writer's does, whatever is moved to its path meanwhile.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which is there.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        self._path = path
        self._asking = threading.RLock()
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_MS / 1e3,
            check_same_thread=False,
        )
        self._db.row_factory = sqlite3.Row
        # Until the first question SQLite has not opened the log, and would look for it by its name.
        self._db.execute("SELECT name FROM station").fetchall()

    @contextmanager
    def asking(self) -> Iterator[sqlite3.Connection]:
        """The connection; each query is to be read to its end.

        Until then it holds a state of the file, and the write-ahead log grows.

        Raises:
            LedgerError: it cannot be read.
        """
        with one_at_a_time(self._path, self._asking):
            yield self._db

    def close(self) -> None:
        """Wait for whoever asks, and close the connection."""
        with one_at_a_time(self._path, self._asking):
            self._db.close()


@contextmanager
def one_at_a_time(path: Path, lock: AbstractContextManager[Any]) -> Iterator[None]:
    """One thread at a time, and SQLite's errors in words."""
    try:
        with lock:
            yield
    except (sqlite3.Error, OSError, UnicodeError) as error:
        raise LedgerError(
            f"{path} cannot be used as a ledger ({error}); check the path, the rights "
            "and the free space, or give another path as `ledger`"
        ) from error


def locked(path: Path) -> IO[bytes]:
    """Keep a second station out: it would close this one's open record as lost in a crash.

    Returns:
        What is to be closed to let others in.

    Raises:
        LedgerError: a station is at work on it.
    """
    handle = path.with_name(f"{path.name}.lock").open("wb")
    try:
        # Who only asks whether a station is at work holds it for a moment, too.
        for _ in range(LOCK_TRIES - 1):
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            time.sleep(LOCK_PAUSE_S)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise LedgerError(
            f"{path} is in use by another `lineside run`; stop that one, or give this station "
            "its own `ledger`"
        ) from None
    return handle


def in_use(path: Path) -> bool:
    """Is a station at work on this ledger?"""
    try:
        with path.with_name(f"{path.name}.lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


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
    """The version of a ledger's format; raises LedgerError when the file is no ledger."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerError(f"{path} is a SQLite file but no ledger; give another path as `ledger`")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def record_of(row: Any, station: str) -> Record:
    """A closed record from its row."""
    return Record(
        id=row["id"],
        station=station,
        captured_at=row["captured_at"],
        serial=row["serial"],
        verdict=Verdict(row["verdict"]),
        reason=row["reason"],
        part_class=row["part_class"],
        defect_score=row["defect_score"],
        scores=json.loads(row["scores"]),
        model_version=row["model_version"],
        latency_ms=row["latency_ms"],
        image=row["image"],
        camera=row["camera"],
        frame_age_ms=row["frame_age_ms"],
    )


@dataclass(frozen=True)
class LedgerStatus:
    """The ledger's file, which only grows.

    Attributes:
        size_bytes: of the file and its write-ahead log; None when nobody can tell.
        free_bytes: of its disk; None when nobody can tell.
    """

    size_bytes: int | None = None
    free_bytes: int | None = None


def measured(path: Path) -> LedgerStatus:
    """How large a ledger is, with its write-ahead log, and how much more its disk has room for."""
    try:
        size_bytes = path.stat().st_size
        with suppress(FileNotFoundError):  # no station is at work
            size_bytes += path.with_name(f"{path.name}-wal").stat().st_size
        return LedgerStatus(size_bytes, shutil.disk_usage(path.parent).free)
    except OSError:
        return LedgerStatus()
