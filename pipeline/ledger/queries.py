"""Queries of records that several readers share: the web service, audits, reviews and data sets."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from pipeline.contracts.records import Record, Verdict

FOREVER = ("", "~")  # before and after every time that a record bears

# The records that people have reviewed, each with its last review, in the order of triggers.
REVIEWED = """
SELECT records.id, records.serial, records.image, reviews.part_class
FROM records JOIN reviews ON reviews.record = records.id
WHERE reviews.seq = (SELECT max(seq) FROM reviews WHERE record = records.id)
ORDER BY records.seq
"""


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
        steps_ms=json.loads(row["steps"]),
    )


def closed_record(db: sqlite3.Connection, identity: str, station: str) -> Record | None:
    """A closed record by its id; None where there is none."""
    query = "SELECT * FROM records WHERE id = ? AND verdict IS NOT NULL"
    row = db.execute(query, (identity,)).fetchone()
    return None if row is None else record_of(row, station)


def closed_records_of_serial(
    db: sqlite3.Connection, serial: str, station: str, limit: int
) -> list[Record]:
    """Closed records of a part, the last `limit` of them, newest first."""
    query = (
        "SELECT * FROM records WHERE serial = ? AND verdict IS NOT NULL ORDER BY seq DESC LIMIT ?"
    )
    return [record_of(row, station) for row in db.execute(query, (serial, limit))]


def latest(
    db: sqlite3.Connection, station: str, limit: int, verdict: Verdict | None = None
) -> list[Record]:
    """The last closed records, oldest first.

    Args:
        db: of the ledger.
        station: its name.
        limit: how many.
        verdict: of those with this verdict, by their time; None: of all, by their number.
    """
    if verdict is None:
        query = "SELECT * FROM records WHERE verdict IS NOT NULL ORDER BY seq DESC LIMIT ?"
        rows = db.execute(query, (limit,)).fetchall()
    else:
        few = "" if verdict is Verdict.PASS else "AND verdict != 'PASS'"  # for the index of these
        query = f"SELECT * FROM records WHERE verdict = ? {few} ORDER BY captured_at DESC LIMIT ?"
        rows = db.execute(query, (verdict, limit)).fetchall()
    return [record_of(row, station) for row in reversed(rows)]


def verdicts_by_minute(
    db: sqlite3.Connection, since: datetime, last: int
) -> list[tuple[str, Verdict, int]]:
    """How many records each minute has of each verdict, as `2026-11-28T14:48`, in UTC.

    Args:
        db: of the ledger.
        since: from the minute of this time on.
        last: number of the last record that counts.
    """
    query = (
        "SELECT substr(captured_at, 1, 16), verdict, count(*) FROM records "
        "WHERE captured_at >= ? AND seq <= ? AND verdict IS NOT NULL GROUP BY 1, 2"
    )
    found = db.execute(query, (stamp(since)[:16], last)).fetchall()
    return [(minute, Verdict(verdict), n) for minute, verdict, n in found]


def rows_of_serial(db: sqlite3.Connection, serial: str) -> list[dict[str, Any]]:
    """All records of a part as they are stored, the oldest first; no verdict while one is open."""
    rows = db.execute("SELECT * FROM records WHERE serial = ? ORDER BY seq", (serial,))
    return [dict(row) for row in rows]


def reviewed_parts(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """Id, serial, image and last reviewed class of each reviewed record, in trigger order."""
    return db.execute(REVIEWED).fetchall()


def stamp(at: datetime) -> str:
    """A time as text that sorts among the ledger's, which are in UTC, of whatever precision."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def period(since: datetime | None, until: datetime | None) -> dict[str, str]:
    """The ends of a period for a query, from and before; None: no limit."""
    return {
        "since": FOREVER[0] if since is None else stamp(since),
        "until": FOREVER[1] if until is None else stamp(until),
    }
