"""Reads records and kept frames while the station is writing them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

from pipeline.contracts.records import Record
from pipeline.ledger.database import connected
from pipeline.ledger.queries import (
    RecordFilter,
    SearchResult,
    closed_record,
    closed_records_of_serial,
    reviews_of,
    search,
)
from pipeline.ledger.upkeep.archives import (
    archived_record,
    archived_records_of_serial,
    archived_to,
)

MOST = 100  # records in one answer
CHUNK_BYTES = 256 * 1024
PATIENCE_S = 10.0
ASIDE = 32  # threads at once; those that hang at a dead disk must not become more and more
KINDS = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}

T = TypeVar("T")

_room = threading.BoundedSemaphore(ASIDE)


class KeptRecords:
    """Reads records and frames.

    Each request has a read-only connection of its own, so that no verdict waits for it.
    """

    def __init__(self, ledger: Path, station: str, frames: Path | None) -> None:
        """Take where things are.

        Args:
            ledger: the station's file.
            station: its name.
            frames: folder of the kept frames, None where none are kept.
        """
        self._ledger = ledger
        self._station = station
        self._frames = frames

    def record(self, identity: str) -> Record | None:
        """A closed record by its id, archived or not; raises LedgerError."""
        with self._connected() as db:
            found = closed_record(db, identity, self._station)
            if found is None:
                archived = archived_record(db, self._ledger, identity, self._station)
                found = None if archived is None else archived[0]
            return found

    def of_serial(self, serial: str) -> list[Record]:
        """Closed records of a part, the last `MOST` of them, newest first; raises LedgerError.

        Archived ones too, where the ledger has fewer.
        """
        with self._connected() as db:
            found = closed_records_of_serial(db, serial, self._station, MOST)
            there, room = {record.id for record in found}, MOST - len(found)
            moved = archived_records_of_serial(db, self._ledger, serial, self._station, room)
            found += [record for record in moved if record.id not in there]
            return sorted(found, key=lambda record: record.id, reverse=True)

    def reviews(self, identity: str) -> list[dict[str, Any]]:
        """What people found of a record, the last one counts; raises LedgerError."""
        with self._connected() as db:
            return reviews_of(db, identity)

    def search(
        self, wanted: RecordFilter, limit: int, before: str = "", within_s: float | None = None
    ) -> SearchResult:
        """The newest records that are wanted; arguments and errors as of `queries.search`."""
        with self._connected() as db:
            return search(db, self._station, wanted, limit, before, within_s)

    def archived_to(self) -> str:
        """The last month that `search` may not see, such as 2026-10, or ""; raises LedgerError."""
        with self._connected() as db:
            return archived_to(db)

    def frame(self, identity: str) -> tuple[FileIO, str] | None:
        """The open file and media type of a record's frame, None if it was not kept or is gone.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        record = self.record(identity)
        if record is None or not record.image or self._frames is None:
            return None
        path = self._frames / record.image
        if not path.resolve().is_relative_to(self._frames.resolve()):
            return None
        try:
            # Without a buffer, whose lock a read that hangs at a dead disk would hold.
            return path.open("rb", buffering=0), KINDS.get(path.suffix, "application/octet-stream")
        except OSError:
            return None

    def _connected(self) -> AbstractContextManager[sqlite3.Connection]:
        return connected(self._ledger, "requests", self._station, timeout_s=1)


async def aside(work: Callable[[], T]) -> T:
    """Run what may wait for a disk or a lock in a thread, so that other clients need not wait.

    The thread is a daemon, unlike those of asyncio and Starlette: one that hangs at a dead disk
    must not keep the process from ending.

    Raises:
        TimeoutError: it takes longer than anybody will wait.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    until_s = loop.time() + PATIENCE_S
    while not _room.acquire(blocking=False):
        if loop.time() > until_s:
            raise TimeoutError
        await asyncio.sleep(0.02)

    def settle(act: Callable[[Any], None], outcome: object) -> None:
        if not future.done():
            act(outcome)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = (future.set_result, work())
        except BaseException as error:
            outcome = (future.set_exception, error)
        finally:
            _room.release()
        with suppress(RuntimeError):  # the service has ended meanwhile
            loop.call_soon_threadsafe(settle, *outcome)

    try:
        threading.Thread(target=run, name="web aside", daemon=True).start()
    except RuntimeError:  # the system has no thread to give at the moment
        _room.release()
        raise
    return await asyncio.wait_for(future, PATIENCE_S)


async def chunks(file: FileIO) -> AsyncIterator[bytes]:
    """An open file bit by bit, and close it: a client that reads slowly holds one bit of it."""
    with file:
        while data := await aside(lambda: file.read(CHUNK_BYTES)):
            yield data
