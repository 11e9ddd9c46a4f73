"""What waits for the sinks, and what a person may do about it, beside a station that may run.

The station gives up on the ledger after half a second, so every transaction here is a short one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from pipeline.daemon.settings.line import Line
from pipeline.daemon.sinks import SinkConfig
from pipeline.errors import DataError, choices
from pipeline.ledger.audit import FOREVER, stamp
from pipeline.ledger.read_only import connected

AT_ONCE = 1000  # letters in one transaction: some 10 ms

LISTED = """
SELECT outbox.record, records.captured_at, records.serial, records.verdict, outbox.attempts,
       outbox.error
FROM outbox JOIN records ON records.id = outbox.record
WHERE outbox.sink = ? AND outbox.dead = ? ORDER BY outbox.seq LIMIT ?
"""


@dataclass(frozen=True)
class Listed:
    """One letter: of which record, how often it was tried and why that failed the last time."""

    record: str
    captured_at: str
    serial: str
    verdict: str
    attempts: int
    error: str


@dataclass(frozen=True)
class Pigeonhole:
    """The letters of one sink.

    Attributes:
        sink: the name of its outbox.
        known: does the line file still have that sink?
        n_due, n_dead: how many letters there are.
        due, dead: the oldest of them.
    """

    sink: str
    known: bool
    n_due: int
    n_dead: int
    due: tuple[Listed, ...]
    dead: tuple[Listed, ...]


class Postroom:
    """The outboxes of one line."""

    def __init__(self, line: Line, db: sqlite3.Connection) -> None:
        self._line = line
        self._db = db

    def letters(self, limit: int) -> list[Pigeonhole]:
        """By sink, up to `limit` letters due and as many dead."""
        known = [sink.outbox for sink in self._line.sinks]
        counts: dict[str, list[int]] = {sink: [0, 0] for sink in known}
        for sink, dead, n in self._db.execute(
            "SELECT sink, dead, count(*) FROM outbox GROUP BY sink, dead"
        ):
            counts.setdefault(sink, [0, 0])[dead] = n
        return [
            Pigeonhole(
                *(sink, sink in known, due, dead),
                *(tuple(self._listed(sink, which, limit)) for which in (0, 1)),
            )
            for sink, (due, dead) in counts.items()
        ]

    def retry(self, sink: str) -> int:
        """Make dead letters due again, before all younger ones; returns how many.

        Raises:
            DataError: no such sink in the line file.
        """
        self._config(sink)
        revived = 0
        while True:
            with self._writing():
                done = self._db.execute(
                    "UPDATE outbox SET dead = 0, attempts = 0, error = '' WHERE seq IN "
                    "(SELECT seq FROM outbox WHERE sink = ? AND dead = 1 ORDER BY seq LIMIT ?)",
                    (sink, AT_ONCE),
                )
            if done.rowcount < 1:
                return revived
            revived += done.rowcount

    def replay(self, sink: str, since: datetime | None, until: datetime | None) -> int:
        """Queue the records of a period once more, after all that is due; returns how many.

        Those that are due anyway are left out; dead letters of the period are replaced. For a
        receiver that has lost what it had acknowledged. The ids stay: it can tell what it has.

        Args:
            sink: the name of its outbox.
            since: with a time zone; None: from the first record on.
            until: with a time zone, not included; None: up to now.

        Raises:
            DataError: no such sink in the line file.
        """
        told = self._config(sink).verdicts
        marks = ", ".join("?" * len(told))
        found = self._db.execute(
            "SELECT id FROM records WHERE captured_at >= ? AND captured_at < ? "
            f"AND verdict IN ({marks}) "
            "AND id NOT IN (SELECT record FROM outbox WHERE sink = ? AND dead = 0) ORDER BY seq",
            (
                FOREVER[0] if since is None else stamp(since),
                FOREVER[1] if until is None else stamp(until),
                *told,
                sink,
            ),
        ).fetchall()
        dead = dict(
            self._db.execute("SELECT record, seq FROM outbox WHERE sink = ? AND dead = 1", (sink,))
        )
        for batch in _batches([row["id"] for row in found]):
            replaced = [(dead[record],) for record in batch if record in dead]
            with self._writing():
                self._db.executemany("DELETE FROM outbox WHERE seq = ? AND dead = 1", replaced)
                self._db.executemany(
                    "INSERT INTO outbox (sink, record) VALUES (?, ?)", [(sink, r) for r in batch]
                )
        return len(found)

    def _listed(self, sink: str, dead: int, limit: int) -> Iterator[Listed]:
        for row in self._db.execute(LISTED, (sink, dead, limit)):
            yield Listed(**dict(row))

    def _config(self, name: str) -> SinkConfig:
        sinks = {sink.outbox: sink for sink in self._line.sinks}
        if not sinks:
            raise DataError(f"station {self._line.station} has no sinks; its line file names none")
        if name not in sinks:
            raise DataError(f'no sink is called "{name}"; {choices(name, sinks)}')
        return sinks[name]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextmanager
def opened(line: Line, *, write: bool = False) -> Iterator[Postroom]:
    """The outboxes of a line's station; raises LedgerError as `connected` does."""
    with connected(line, "outboxes", write=write) as db:
        yield Postroom(line, db)


def _batches(items: Sequence[str]) -> Iterator[list[str]]:
    left = iter(items)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
