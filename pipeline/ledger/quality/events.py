"""Events of the station that are delivered to its sinks, such as a signal of a control chart.

They stand among all other events in the ledger, and each sink's place among them beside. An event
is delivered at least once, in order; a sink that is new gets those from then on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.ledger.ledger import Ledger


@dataclass(frozen=True)
class DeliveredEvent:
    """An event with data.

    Attributes:
        seq: its number.
        at: when, ISO 8601 in UTC.
        kind: such as `quality signal`.
        detail: in words.
        data: ready for JSON.
    """

    seq: int
    at: str
    kind: str
    detail: str
    data: dict[str, Any]


def add_event(
    ledger: Ledger, at: datetime, kind: str, detail: str, data: Mapping[str, Any], key: str
) -> bool:
    """Commit an event that is delivered to the sinks; False where one of the same key is there.

    Raises:
        LedgerError: it cannot be written.
    """
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds")
    with ledger.writing(safe=True) as db:
        done = db.execute(
            "INSERT OR IGNORE INTO events (at, kind, detail, data, key) VALUES (?, ?, ?, ?, ?)",
            (stamp, kind, detail, json.dumps(data), key),
        )
    return done.rowcount == 1


def latest_events(db: sqlite3.Connection, kind: str, limit: int) -> list[DeliveredEvent]:
    """The last events of a kind that have data, the newest first."""
    query = (
        "SELECT seq, at, kind, detail, data FROM events INDEXED BY events_delivered "
        "WHERE data != '' AND kind = ? ORDER BY seq DESC LIMIT ?"
    )
    return [_event(row) for row in db.execute(query, (kind, limit)).fetchall()]


class EventOutbox:
    """Undelivered events of one sink."""

    def __init__(self, ledger: Ledger, sink: str) -> None:
        self._ledger = ledger
        self._sink = sink

    def begin(self) -> None:
        """Note where a sink that is new begins: behind all events of before; raises LedgerError."""
        with self._ledger.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO event_deliveries "
                "SELECT ?, coalesce((SELECT max(seq) FROM events), 0)",
                (self._sink,),
            )

    def due(self, limit: int) -> list[DeliveredEvent]:
        """The oldest undelivered events; raises LedgerError."""
        query = (
            "SELECT seq, at, kind, detail, data FROM events INDEXED BY events_delivered "
            "WHERE data != '' AND seq > (SELECT delivered FROM event_deliveries WHERE sink = ?) "
            "ORDER BY seq LIMIT ?"
        )
        with self._ledger.reading() as db:
            return [_event(row) for row in db.execute(query, (self._sink, limit)).fetchall()]

    def delivered(self, event: DeliveredEvent) -> None:
        """Note that an event, and so all before it, was delivered; raises LedgerError."""
        with self._ledger.writing() as db:
            db.execute(
                "UPDATE event_deliveries SET delivered = ? WHERE sink = ?", (event.seq, self._sink)
            )


def _event(row: sqlite3.Row) -> DeliveredEvent:
    data = json.loads(row["data"])
    return DeliveredEvent(row["seq"], row["at"], row["kind"], row["detail"], data)
