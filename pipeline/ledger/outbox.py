"""What one sink is still to be told, in the ledger's own file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.records import Record
from pipeline.ledger.database import record_of
from pipeline.ledger.ledger import Ledger


@dataclass(frozen=True)
class Letter:
    """One record on its way to one sink.

    Attributes:
        seq: its number in the outbox; letters are delivered in this order.
        record: what is to be told.
        attempts: how often that failed.
        error: why it failed the last time, "" when it was never tried.
    """

    seq: int
    record: Record
    attempts: int
    error: str


class Outbox:
    """The letters of one sink."""

    def __init__(self, ledger: Ledger, sink: str) -> None:
        self.sink = sink
        self._ledger = ledger

    def due(self, limit: int) -> list[Letter]:
        """The oldest letters that are neither delivered nor dead."""
        with self._ledger.reading() as db:
            rows = db.execute(
                "SELECT records.*, outbox.seq AS letter, attempts, error FROM outbox "
                "JOIN records ON records.id = outbox.record "
                "WHERE sink = ? AND dead = 0 ORDER BY outbox.seq LIMIT ?",
                (self.sink, limit),
            ).fetchall()
        station = self._ledger.station
        return [
            Letter(row["letter"], record_of(row, station), row["attempts"], row["error"])
            for row in rows
        ]

    def delivered(self, letters: Sequence[Letter]) -> None:
        """Forget letters that the receiver has."""
        with self._ledger.writing() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(x.seq,) for x in letters])

    def failed(self, letters: Sequence[Letter], error: str) -> None:
        """Note why letters could not be delivered; they stay due."""
        with self._ledger.writing() as db:
            db.executemany(
                "UPDATE outbox SET attempts = attempts + 1, error = ? WHERE seq = ?",
                [(error, x.seq) for x in letters],
            )

    def bury(self, letters: Sequence[Letter], error: str) -> None:
        """Give letters up: they are kept, and not tried again unless somebody asks."""
        with self._ledger.writing() as db:
            db.executemany(
                "UPDATE outbox SET dead = 1, attempts = attempts + 1, error = ? WHERE seq = ?",
                [(error, x.seq) for x in letters],
            )

    def depth(self) -> tuple[int, int]:
        """How many letters are due and how many are dead."""
        with self._ledger.reading() as db:
            row = db.execute(
                "SELECT count(*) FILTER (WHERE dead = 0), count(*) FILTER (WHERE dead = 1) "
                "FROM outbox WHERE sink = ?",
                (self.sink,),
            ).fetchone()
        return row[0], row[1]
