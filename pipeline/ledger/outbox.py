"""Undelivered records of each sink, in the ledger's own file: the only SQL on the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import period, record_of

LISTED = """
SELECT outbox.record, records.captured_at, records.serial, records.verdict, outbox.attempts,
       outbox.error
FROM outbox JOIN records ON records.id = outbox.record
WHERE outbox.sink = ? AND outbox.dead = ? ORDER BY outbox.seq LIMIT ?
"""

# Kept by triggers of the schema.
DEPTH = """
SELECT coalesce(sum(n) FILTER (WHERE dead = 0), 0), coalesce(sum(n) FILTER (WHERE dead = 1), 0)
FROM outbox_depths WHERE sink = ?
"""


@dataclass(frozen=True)
class OutboxEntry:
    """One record on its way to one sink.

    Attributes:
        seq: its number in the outbox; entries are delivered in this order.
        record: what is to be delivered.
        attempts: how often that failed.
        error: why it failed the last time, "" when it was never tried.
        age_s: seconds since it was queued, without those in which the machine was off.
    """

    seq: int
    record: Record
    attempts: int
    error: str
    age_s: float


@dataclass(frozen=True)
class ListedEntry:
    """An entry as people see it: of which record, how often it was tried and why that failed."""

    record: str
    captured_at: str
    serial: str
    verdict: str
    attempts: int
    error: str


class Outbox:
    """The entries of one sink, for its dispatcher."""

    def __init__(self, ledger: Ledger, sink: str) -> None:
        self.sink = sink
        self._ledger = ledger

    def due(self, limit: int) -> list[OutboxEntry]:
        """The oldest entries that are neither delivered nor dead letters."""
        with self._ledger.reading() as db:
            rows = db.execute(
                "SELECT records.*, outbox.seq AS entry, attempts, error, queued_s FROM outbox "
                "JOIN records ON records.id = outbox.record "
                "WHERE sink = ? AND dead = 0 ORDER BY outbox.seq LIMIT ?",
                (self.sink, limit),
            ).fetchall()
        station, now_s = self._ledger.station, self._ledger.elapsed.now_s()
        return [
            OutboxEntry(
                *(row["entry"], record_of(row, station), row["attempts"], row["error"]),
                # Without a time: queued by `lineside outbox`, for the station at work.
                age_s=0.0 if row["queued_s"] is None else now_s - row["queued_s"],
            )
            for row in rows
        ]

    def delivered(self, entries: Sequence[OutboxEntry]) -> None:
        """Remove entries that the receiver has acknowledged."""
        with self._ledger.writing() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(x.seq,) for x in entries])

    def failed(self, entries: Sequence[OutboxEntry], error: str) -> None:
        """Note why entries could not be delivered; they stay due."""
        with self._ledger.writing() as db:
            db.executemany(
                "UPDATE outbox SET attempts = attempts + 1, error = ? WHERE seq = ?",
                [(error, x.seq) for x in entries],
            )

    def give_up(self, entries: Sequence[OutboxEntry], error: str) -> None:
        """Make entries dead letters: they are kept, and not tried again unless a person asks."""
        with self._ledger.writing() as db:
            db.executemany(
                "UPDATE outbox SET dead = 1, attempts = attempts + 1, error = ? WHERE seq = ?",
                [(error, x.seq) for x in entries],
            )

    def depth(self) -> tuple[int, int]:
        """How many entries are due and how many are dead."""
        with self._ledger.reading() as db:
            return depths(db, [self.sink])[self.sink]


def depths(
    db: sqlite3.Connection, sinks: Sequence[str], *, others: bool = False
) -> dict[str, tuple[int, int]]:
    """How many entries of each sink are due and how many are dead letters.

    Args:
        db: a connection to the ledger.
        sinks: names of outboxes.
        others: also those of sinks that are not named, where entries are left.
    """
    names = dict.fromkeys(sinks)
    if others:
        names |= dict.fromkeys(
            row[0] for row in db.execute("SELECT sink FROM outbox_depths WHERE n > 0")
        )
    return {sink: tuple(db.execute(DEPTH, (sink,)).fetchone()) for sink in names}


def listed(db: sqlite3.Connection, sink: str, limit: int, *, dead: bool) -> list[ListedEntry]:
    """The oldest entries of a sink: those that are due, or its dead letters."""
    return [ListedEntry(**dict(row)) for row in db.execute(LISTED, (sink, dead, limit))]


def revive(db: sqlite3.Connection, sink: str, limit: int) -> int:
    """Make dead letters due again, the oldest first; returns how many."""
    done = db.execute(
        "UPDATE outbox SET dead = 0, attempts = 0, error = '', queued_s = NULL WHERE seq IN "
        "(SELECT seq FROM outbox WHERE sink = ? AND dead = 1 ORDER BY seq LIMIT ?)",
        (sink, limit),
    )
    return done.rowcount


def records_not_due(
    db: sqlite3.Connection,
    sink: str,
    verdicts: Sequence[Verdict],
    since: datetime | None,
    until: datetime | None,
) -> list[str]:
    """Ids of the closed records of a period that are not due for a sink, in trigger order."""
    marks = ", ".join("?" * len(verdicts))
    within = period(since, until)
    rows = db.execute(
        "SELECT id FROM records WHERE captured_at >= ? AND captured_at < ? "
        f"AND verdict IN ({marks}) "
        "AND id NOT IN (SELECT record FROM outbox WHERE sink = ? AND dead = 0) ORDER BY seq",
        (within["since"], within["until"], *verdicts, sink),
    )
    return [row["id"] for row in rows.fetchall()]


def has_records(db: sqlite3.Connection, since: datetime | None, until: datetime | None) -> bool:
    """Is there a record of a period?"""
    query = "SELECT 1 FROM records WHERE captured_at >= :since AND captured_at < :until LIMIT 1"
    return db.execute(query, period(since, until)).fetchone() is not None


def dead_letters(db: sqlite3.Connection, sink: str) -> dict[str, int]:
    """The number in the outbox of each dead letter of a sink, by its record's id."""
    query = "SELECT record, seq FROM outbox WHERE sink = ? AND dead = 1"
    return dict(db.execute(query, (sink,)).fetchall())


def queue_again(
    db: sqlite3.Connection, sink: str, records: Sequence[str], replaced: Sequence[int]
) -> None:
    """Queue records after all that is due, in place of their dead letters."""
    db.executemany("DELETE FROM outbox WHERE seq = ? AND dead = 1", [(seq,) for seq in replaced])
    db.executemany(
        "INSERT INTO outbox (sink, record) VALUES (?, ?)", [(sink, record) for record in records]
    )
