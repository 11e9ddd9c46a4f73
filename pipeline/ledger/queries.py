"""Queries of records that several readers share: the web service, audits, reviews and data sets."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from pipeline.contracts.records import Record, RecordKind, Verdict

FOREVER = ("", "~")  # before and after every time that a record bears

# The records that people have reviewed, each with the review that counts, in trigger order.
REVIEWED = """
SELECT records.id, records.serial, records.image, given.part_class
FROM records JOIN standing_reviews AS given ON given.record = records.id
WHERE given.seq = (SELECT max(seq) FROM standing_reviews WHERE record = records.id)
  AND records.kind = 'part'
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
        # Archives from before there were others have parts only.
        kind=RecordKind(row["kind"]) if "kind" in row.keys() else RecordKind.PART,  # noqa: SIM118
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
        verdict: of parts of the line with this verdict, by their time; None: of all records, by
            their number.
    """
    if verdict is None:
        query = "SELECT * FROM records WHERE verdict IS NOT NULL ORDER BY seq DESC LIMIT ?"
        rows = db.execute(query, (limit,)).fetchall()
    else:
        few = "" if verdict is Verdict.PASS else "AND verdict != 'PASS'"  # for the index of these
        query = (
            f"SELECT * FROM records WHERE verdict = ? {few} AND kind = ? "
            "ORDER BY captured_at DESC LIMIT ?"
        )
        rows = db.execute(query, (verdict, RecordKind.PART, limit)).fetchall()
    return [record_of(row, station) for row in reversed(rows)]


def verdicts_by_minute(
    db: sqlite3.Connection, since: datetime, last: int
) -> list[tuple[str, Verdict, int]]:
    """How many parts each minute has of each verdict, as `2026-11-28T14:48`, in UTC.

    Args:
        db: of the ledger.
        since: from the minute of this time on.
        last: number of the last record that counts.
    """
    query = (
        "SELECT substr(captured_at, 1, 16), verdict, count(*) FROM records "
        "WHERE captured_at >= ? AND seq <= ? AND verdict IS NOT NULL AND kind = ? GROUP BY 1, 2"
    )
    found = db.execute(query, (stamp(since)[:16], last, RecordKind.PART)).fetchall()
    return [(minute, Verdict(verdict), n) for minute, verdict, n in found]


def rows_of_serial(db: sqlite3.Connection, serial: str) -> list[dict[str, Any]]:
    """All records of a part as they are stored, the oldest first; no verdict while one is open."""
    rows = db.execute("SELECT * FROM records WHERE serial = ? ORDER BY seq", (serial,))
    return [dict(row) for row in rows]


def reviewed_parts(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """Id, serial, image and last reviewed class of each reviewed record, in trigger order."""
    return db.execute(REVIEWED).fetchall()


def reviews_of(db: sqlite3.Connection, identity: str) -> list[dict[str, Any]]:
    """What people found of a record, in the order of their reviews.

    The last one counts; one without a class withdraws those of its reviewer before it.
    """
    query = (
        "SELECT reviewed_at, reviewer, part_class, comment FROM reviews "
        "WHERE record = ? ORDER BY seq"
    )
    return [dict(row) for row in db.execute(query, (identity,))]


@dataclass(frozen=True)
class RecordFilter:
    """Which records are wanted; what is empty or None does not matter.

    Attributes:
        verdict: of the record.
        part_class: that its decision named.
        reason: text that its reason contains, in upper or lower case.
        serial: of the part, all of it.
        camera: by its name.
        since, until: of the trigger, with time zones; from the first one on, before the second.
        kind: parts of the line, or known parts of challenge runs.
    """

    verdict: Verdict | None = None
    part_class: str = ""
    reason: str = ""
    serial: str = ""
    camera: str = ""
    since: datetime | None = None
    until: datetime | None = None
    kind: RecordKind | None = None


@dataclass(frozen=True)
class SearchResult:
    """Some of the records that were wanted, newest first.

    Attributes:
        records: at most as many as asked for.
        before: where the next search goes on, "" where nothing is left.
        searched_to: how far back was searched where time was up before enough were found; the rest
            is found from `before` on.
    """

    records: list[Record]
    before: str = ""
    searched_to: str = ""


FIRST_WINDOW, LONGEST_WINDOW = timedelta(minutes=1), timedelta(days=366)
QUICK_S, SLOW_S = 0.02, 0.06  # a window that takes less is doubled, one that takes more is halved
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# Each by itself: asked for together, SQLite reads the whole index for them.
_ENDS = "SELECT (SELECT min(captured_at) FROM records), (SELECT max(captured_at) FROM records)"
_SEARCH = """
SELECT * FROM records INDEXED BY {index}
WHERE captured_at >= :low AND captured_at <= :high AND (captured_at < :high OR seq < :seq)
AND verdict IS NOT NULL {wanted}
ORDER BY captured_at DESC, seq DESC LIMIT :most
"""


def search(
    db: sqlite3.Connection,
    station: str,
    wanted: RecordFilter,
    limit: int,
    before: str = "",
    within_s: float | None = None,
) -> SearchResult:
    """The newest records that are wanted.

    The ledger is searched in periods from an index, however many records it has, until there are
    enough or time is up; then the result names where to go on.

    Args:
        db: of the ledger.
        station: its name.
        wanted: which records.
        limit: how many, at most.
        before: go on where another search ended (`SearchResult.before`); or the id of a record:
            only older ones.
        within_s: how long to search; None: until there are enough.

    Raises:
        ValueError: `before` is neither.
    """
    started_s = monotonic()
    place = _place(db, before) if before else None
    first = db.execute(_ENDS).fetchone()
    if first[0] is None:
        return SearchResult([])
    low_end = max(first[0], "" if wanted.since is None else stamp(wanted.since))
    high, seq = place or (f"{first[1]}~", 0)
    if wanted.until is not None and stamp(wanted.until) < high:
        high, seq = stamp(wanted.until), 0
    index, conditions, values = _conditions(wanted)
    query = _SEARCH.format(index=index, wanted=conditions)
    window = LONGEST_WINDOW * 1000 if wanted.serial else FIRST_WINDOW
    found: list[Record] = []
    while True:
        low = max(low_end, _earlier(high, window))
        began_s = monotonic()
        here = {"low": low, "high": high, "seq": seq, "most": limit - len(found)}
        rows = db.execute(query, values | here).fetchall()
        found += [record_of(row, station) for row in rows]
        if len(found) == limit:
            return SearchResult(found, f"{rows[-1]['captured_at']}~{rows[-1]['seq']}")
        if low <= low_end:
            return SearchResult(found)
        high, seq = low, 0
        now_s = monotonic()
        if within_s is not None and now_s - started_s > within_s:
            return SearchResult(found, f"{low}~0", low)
        if now_s - began_s < QUICK_S:
            window = min(2 * window, LONGEST_WINDOW)
        elif now_s - began_s > SLOW_S:
            window /= 2


def _place(db: sqlite3.Connection, before: str) -> tuple[str, int]:
    """Time and number before which a search goes on."""
    at, tilde, number = before.rpartition("~")
    if tilde and number.isascii() and number.isdigit() and len(number) < 19:
        datetime.fromisoformat(at)
        return at, int(number)
    row = db.execute("SELECT captured_at, seq FROM records WHERE id = ?", (before,)).fetchone()
    if row is None:
        raise ValueError("there is no such record, and no search ended there")
    return row["captured_at"], row["seq"]


def _conditions(wanted: RecordFilter) -> tuple[str, str, dict[str, Any]]:
    """The index to search, the conditions and their values."""
    index, conditions, values = "records_captured", list[str](), dict[str, Any]()
    for name in ("verdict", "part_class", "serial", "camera", "kind"):
        if value := getattr(wanted, name):
            conditions.append(f"AND {name} = :{name}")
            values[name] = value
    if wanted.reason:
        escaped = "".join(f"\\{c}" if c in "\\%_" else c for c in wanted.reason)
        conditions.append("AND reason LIKE :reason ESCAPE '\\'")
        values["reason"] = f"%{escaped}%"
    if wanted.verdict not in (None, Verdict.PASS):
        index = "records_not_passed"
        conditions.append("AND verdict != 'PASS'")
    if wanted.serial:
        index = "records_serial"
    return index, " ".join(conditions), values


def _earlier(at: str, window: timedelta) -> str:
    """A time as the ledger writes it, by so much before another."""
    moment = datetime.fromisoformat(at.removesuffix("~"))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment - BEGINNING <= window:
        return ""
    return (moment - window).isoformat(timespec="microseconds")


def stamp(at: datetime) -> str:
    """A time as text that sorts among the ledger's, which are in UTC, of whatever precision."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def period(since: datetime | None, until: datetime | None) -> dict[str, str]:
    """The ends of a period for a query, from and before; None: no limit."""
    return {
        "since": FOREVER[0] if since is None else stamp(since),
        "until": FOREVER[1] if until is None else stamp(until),
    }
