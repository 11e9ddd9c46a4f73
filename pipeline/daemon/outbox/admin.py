"""Undelivered records of all sinks, and what a person may do about them while the station runs.

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
from pipeline.ledger.database import connected
from pipeline.ledger.outbox import (
    ListedEntry,
    dead_letters,
    depths,
    has_records,
    listed,
    queue_again,
    records_not_due,
    revive,
)
from pipeline.ledger.upkeep.archives import with_archives

AT_ONCE = 1000  # entries in one transaction: some 10 ms


@dataclass(frozen=True)
class SinkBacklog:
    """Undelivered records of one sink.

    Attributes:
        sink: the name of its outbox.
        known: does the line file still have that sink?
        n_due, n_dead: how many entries are due, how many are dead letters.
        due, dead: the oldest of them.
    """

    sink: str
    known: bool
    n_due: int
    n_dead: int
    due: tuple[ListedEntry, ...]
    dead: tuple[ListedEntry, ...]


class OutboxAdmin:
    """The outboxes of one line."""

    def __init__(self, line: Line, db: sqlite3.Connection) -> None:
        self._line = line
        self._db = db

    def backlogs(self, limit: int) -> list[SinkBacklog]:
        """By sink, up to `limit` entries that are due and as many dead letters."""
        known = [sink.outbox for sink in self._line.sinks]
        return [
            SinkBacklog(
                *(sink, sink in known, due, dead),
                *(tuple(listed(self._db, sink, limit, dead=which)) for which in (False, True)),
            )
            for sink, (due, dead) in depths(self._db, known, others=True).items()
        ]

    def retry(self, sink: str) -> int:
        """Make dead letters due again, before all younger entries; returns how many.

        Raises:
            DataError: no such sink in the line file.
        """
        self._config(sink)
        revived = 0
        while True:
            with self._writing():
                done = revive(self._db, sink, AT_ONCE)
            if done < 1:
                return revived
            revived += done

    def replay(self, sink: str, since: datetime | None, until: datetime | None) -> int:
        """Queue the records of a period once more, after all that is due; returns how many.

        Those that are due anyway are left out; dead letters of the period are replaced. For a
        receiver that has lost what it had acknowledged. The ids stay, so the receiver can recognise
        what it has.

        Args:
            sink: the name of its outbox.
            since: with a time zone; None: from the first record on.
            until: with a time zone, not included; None: up to now.

        Raises:
            DataError: no such sink in the line file, or records of the period are archived.
        """
        with with_archives(self._db, self._line.ledger) as (_, *archives):
            if any(has_records(archive, since, until) for archive in archives):
                raise DataError(
                    "records of this period are archived and can no longer be delivered from the "
                    "ledger; give a later --since (`lineside audit` still counts them)"
                )
        found = records_not_due(self._db, sink, self._config(sink).verdicts, since, until)
        dead = dead_letters(self._db, sink)
        for batch in _batches(found):
            with self._writing():
                queue_again(self._db, sink, batch, [dead[r] for r in batch if r in dead])
        return len(found)

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
def opened(line: Line, *, write: bool = False) -> Iterator[OutboxAdmin]:
    """The outboxes of a line's station; raises LedgerError as `connected` does."""
    with connected(line.ledger, "outboxes", line.station, write=write) as db:
        yield OutboxAdmin(line, db)


def _batches(items: Sequence[str]) -> Iterator[list[str]]:
    left = iter(items)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
