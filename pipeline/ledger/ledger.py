"""The station's account: a record is opened at the trigger and closed once, with one verdict."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pipeline.contracts.records import ChallengePart, MissedTrigger, Record, RecordKind, Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.account import Account, account_of
from pipeline.ledger.challenge.presenting import note_presented, open_presented
from pipeline.ledger.database import (
    BUSY_MS,
    LedgerStatus,
    ReadConnection,
    bring_up_to_date,
    measured,
    one_at_a_time,
)
from pipeline.ledger.elapsed import BootClock, Elapsed
from pipeline.ledger.ids import Ids
from pipeline.ledger.lock import LedgerLock
from pipeline.ledger.queries import record_of
from pipeline.ledger.upkeep.archives import with_archives
from pipeline.ledger.upkeep.integrity import AT_ONCE_BYTES, checked

RESTARTED = "station restarted"

log = logging.getLogger(__name__)


class NotOpen(LedgerError):
    """The record was never opened or is closed already: retrying is useless."""


Outboxes = Mapping[str, Container[Verdict]]


class Ledger:
    """One station's open ledger; only one process writes to it, from as many threads as it likes.

    Write-ahead logging lets others read meanwhile. A record is opened with synchronous=NORMAL and
    closed with FULL: a killed process loses neither, a power cut no verdict that was given (and at
    most the trigger that was at work, whose part was not judged).
    """

    def __init__(
        self,
        path: Path,
        station: str,
        outboxes: Outboxes | None = None,
        clock: BootClock | None = None,
        check_at_once_bytes: int = AT_ONCE_BYTES,
    ) -> None:
        """Open or create the file, bring it up to date and close what a crash left open.

        Args:
            path: of the file.
            station: its name.
            outboxes: the name of each sink's outbox, and which verdicts the sink gets.
            clock: for ages; None: this machine's.
            check_at_once_bytes: a larger file is checked for damage beside the station's work.

        Raises:
            LedgerError: not a ledger, another station's, a newer format, in use, or damaged.
        """
        self.path = path
        self.station = station
        self._outboxes = dict(outboxes or {})
        self._clock = clock or BootClock()
        self._at_work = threading.RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = LedgerLock(path)
            try:
                self._db = sqlite3.connect(
                    path, isolation_level=None, timeout=5, check_same_thread=False
                )
                self._integrity = checked(self._db, path, check_at_once_bytes)
                self._prepare()
                self._file = _inode(path)
                self._reader = ReadConnection(path)
                self._integrity.start()
            except BaseException:
                self._lock.close()
                raise

    @property
    def damage(self) -> str:
        """What a check of the whole file has found, "" while nothing is known."""
        return self._integrity.damage

    def _prepare(self) -> None:
        self._db.row_factory = sqlite3.Row
        bring_up_to_date(self._db, self.path, self.station)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self.writing() as db:
            self.elapsed = Elapsed(db, self._clock)
        self.closed_at_start = self._close_open()
        # A program that locks the file later must not stop a worker for longer than it may be
        # silent.
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        last = self._db.execute(
            "SELECT max(coalesce((SELECT max(id) FROM records), ''), "
            "coalesce((SELECT max(last_id) FROM archives), ''))"
        ).fetchone()[0]
        self._ids = Ids(last)
        numbered = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
        self.started_after: int = (numbered.fetchone() or (0,))[0]

    def _close_open(self) -> int:
        """Those found at the start were neither judged nor refused: the crash is their verdict."""
        with self.writing() as db:
            found = db.execute("SELECT id FROM records WHERE verdict IS NULL ORDER BY seq")
            identities = [row["id"] for row in found]
            db.execute(
                "UPDATE records SET verdict = ?, reason = ? WHERE verdict IS NULL",
                (Verdict.NOT_INSPECTED, RESTARTED),
            )
            self._post(db, ((i, Verdict.NOT_INSPECTED) for i in identities))
        return len(identities)

    def _post(self, db: sqlite3.Connection, closed: Iterable[tuple[str, Verdict]]) -> None:
        """Put closed records into the outbox of each sink that gets their verdict."""
        db.executemany(
            "INSERT INTO outbox (sink, record, queued_s) VALUES (?, ?, ?)",
            [
                (sink, identity, self.elapsed.now_s())
                for identity, verdict in closed
                for sink, wanted in self._outboxes.items()
                if verdict in wanted
            ],
        )

    def open_record(
        self,
        captured_at: datetime,
        serial: str,
        camera: str = "",
        presented: ChallengePart | None = None,
    ) -> str:
        """Commit that a trigger came, of a known part if `presented`; returns the record's id."""
        stamp = captured_at.astimezone(UTC).isoformat(timespec="microseconds")
        if presented is not None:
            with self.writing() as db:
                identity = self._ids.make(captured_at)
                open_presented(db, (identity, stamp, serial, camera), presented)
            return identity
        with self._translated():
            identity = self._ids.make(captured_at)
            self._db.execute(
                "INSERT INTO records (id, captured_at, serial, camera) VALUES (?, ?, ?, ?)",
                (identity, stamp, serial, camera),
            )
        return identity

    def close_record(self, record: Record) -> None:
        """Commit the verdict of an opened record, and with it the outbox entries of the sinks.

        Raises:
            NotOpen: the record was never opened, or has a verdict already.
            LedgerError: it cannot be written.
        """
        with self.writing(safe=True) as db:
            done = db.execute(
                "UPDATE records SET verdict = ?, reason = ?, part_class = ?, defect_score = ?, "
                "scores = ?, model_version = ?, latency_ms = ?, frame_age_ms = ?, steps = ? "
                "WHERE id = ? AND verdict IS NULL",
                (
                    record.verdict,
                    record.reason,
                    record.part_class,
                    record.defect_score,
                    json.dumps(record.scores),
                    record.model_version,
                    record.latency_ms,
                    record.frame_age_ms,
                    json.dumps(record.steps_ms),
                    record.id,
                ),
            )
            if done.rowcount != 1:
                raise self._not_open(db, record.id)
            self._post(db, [(record.id, record.verdict)])

    def _not_open(self, db: sqlite3.Connection, identity: str) -> NotOpen:
        there = db.execute("SELECT 1 FROM records WHERE id = ?", (identity,)).fetchone()
        why = "is closed already" if there else "was never opened"
        return NotOpen(f"{self.path}: record {identity} {why}")

    def add_refused(self, missed: Sequence[MissedTrigger], reason: str) -> list[Record]:
        """Commit triggers that could not be recorded when they came, as NOT_INSPECTED."""
        closed: list[Record] = []
        with self.writing(safe=True) as db:
            for trigger in missed:
                stamp = trigger.at.astimezone(UTC).isoformat(timespec="microseconds")
                record = Record(
                    id=self._ids.make(trigger.at),
                    station=self.station,
                    captured_at=stamp,
                    serial=trigger.serial,
                    verdict=Verdict.NOT_INSPECTED,
                    reason=reason,
                    camera=trigger.camera,
                    kind=RecordKind.PART if trigger.presented is None else RecordKind.CHALLENGE,
                )
                row = (record.id, stamp, record.serial, record.camera, record.verdict, reason)
                db.execute(
                    "INSERT INTO records (id, captured_at, serial, camera, verdict, reason, kind) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*row, record.kind),
                )
                if trigger.presented is not None:
                    note_presented(db, record.id, trigger.presented)
                closed.append(record)
            self._post(db, ((r.id, r.verdict) for r in closed))
        return closed

    def add_forgotten(self, at: datetime, n: int, detail: str) -> None:
        """Commit that `n` triggers came of which no record can be made any more.

        They take the next numbers: the account counts them, and does not balance.
        """
        with self.writing(safe=True) as db:
            taken = db.execute(
                "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'records'", (n,)
            )
            if taken.rowcount == 0:  # there was no record yet
                db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('records', ?)", (n,))
            _note(db, at, "triggers never recorded", detail)

    @contextmanager
    def writing(self, *, safe: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, committed if the block succeeds; a `safe` one outlives a power cut.

        Raises:
            LedgerError: it cannot be written; nothing of it was.
        """
        with self._translated():
            # Two connections, one for each mode, would cost more: what one of them writes makes the
            # other read its pages again.
            try:
                if safe:
                    self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back by itself, as on a full disk
                    self._db.execute("ROLLBACK")
                raise
            finally:
                if safe:
                    with suppress(sqlite3.Error):  # else the next ones outlive a power cut, too
                        self._db.execute("PRAGMA synchronous = NORMAL")

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection for queries while another one writes, which does not wait for it.

        Read each to its end, as with `fetchall`: until then the write-ahead log grows.

        Raises:
            LedgerError: it cannot be read.
        """
        return self._reader.querying()

    def note_event(self, at: datetime, kind: str, detail: str) -> None:
        """Note what happened to the station itself, such as `camera lost`."""
        with self.writing() as db:
            _note(db, at, kind, detail)

    def note_image(self, identity: str, path: str) -> None:
        """Note where the frame of a record was kept, once it is there.

        Raises:
            LedgerError: the record was never opened, or has an image already.
        """
        with self._translated():
            done = self._db.execute("UPDATE records SET image = ? WHERE id = ?", (path, identity))
        if done.rowcount != 1:
            raise LedgerError(f"{self.path}: record {identity} was never opened")

    def account(self, after: int = 0) -> Account:
        """Triggers and verdicts of all records with a number above `after`.

        Archives are not checked, which takes seconds: audits do that.
        """
        with self.reading() as db, with_archives(db, self.path, after, whole=False) as files:
            return account_of(files, after)

    def records(self, after: int = 0) -> Iterator[Record]:
        """Closed records in the order of their triggers."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT * FROM records WHERE seq > ? AND verdict IS NOT NULL ORDER BY seq", (after,)
            ).fetchall()
        return (record_of(row, self.station) for row in rows)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let others open it."""
        self._integrity.stop()
        self._reader.close()  # first: who closes last folds, and this one may only read
        with self._translated():
            self._db.close()
        self._lock.close()

    @property
    def status(self) -> LedgerStatus:
        """Size of the ledger; reads from the disk."""
        return measured(self.path)

    @property
    def astray(self) -> str:
        """Why records go to another file than that at `path`, "" where they do not."""
        with suppress(OSError):
            if _inode(self.path) == self._file:
                return ""
        return (
            f"{self.path} was moved, removed or replaced, and records go to the former file: put "
            "that back, or start the station again"
        )

    def check_lock(self, at: datetime) -> None:
        """Make the lock file again where somebody removed it, with an event; call it often."""
        if happened := self._lock.check():
            log.warning("%s", happened)
            with suppress(LedgerError):
                self.note_event(at, "lock file replaced", happened)

    def _translated(self) -> AbstractContextManager[None]:
        return one_at_a_time(self.path, self._at_work)


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _note(db: sqlite3.Connection, at: datetime, kind: str, detail: str) -> None:
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds")
    db.execute("INSERT INTO events (at, kind, detail) VALUES (?, ?, ?)", (stamp, kind, detail))
