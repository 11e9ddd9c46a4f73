"""The proof that every trigger received in a period got one verdict, read beside a running station.

Each trigger takes the next number of the ledger. So the numbers of a period show how many triggers
there were, whatever became of their records: one that is missing was removed or could never be
written, one that is open was lost, unless a station is at work on it just now.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.contracts.records import Verdict
from pipeline.ledger.database import connected
from pipeline.ledger.listening import NotListening, not_listening
from pipeline.ledger.lock import in_use
from pipeline.ledger.outbox import depths
from pipeline.ledger.queries import FOREVER, period, rows_of_serial, stamp

LOST_AFTER = timedelta(minutes=15)  # open for longer: no station is at work on it, running or not
MOST_GAPS = 100

# One pass, sorted in memory: 2 s for a million records.
GROUPS = """
SELECT verdict, camera, model_version,
       CASE WHEN verdict = 'NOT_INSPECTED' THEN substr(reason, 1, instr(reason || ':', ':') - 1)
       ELSE '' END AS kind, count(*) AS n
FROM records
WHERE seq BETWEEN :first AND :last AND captured_at >= :since AND captured_at < :until
GROUP BY verdict, camera, model_version, kind
"""
GAPS = """
SELECT before + 1 AS first, seq - 1 AS last FROM (
    SELECT seq, lag(seq, 1, :first - 1) OVER (ORDER BY seq) AS before
    FROM records WHERE seq BETWEEN :first AND :last
) WHERE seq - before > 1 LIMIT :most
"""
SHADOWS = """
SELECT shadows.model_version AS version, count(*) AS frames,
       count(*) FILTER (WHERE shadows.verdict != records.verdict) AS disagreements
FROM shadows JOIN records ON records.id = shadows.record
WHERE shadows.record BETWEEN
        (SELECT min(id) FROM records WHERE seq IN (:low, :high))
    AND (SELECT max(id) FROM records WHERE seq IN (:low, :high))
  AND captured_at >= :since AND captured_at < :until
GROUP BY shadows.model_version
"""


@dataclass(frozen=True)
class OpenRecord:
    """A record without a verdict: its number, id, part and time of trigger."""

    seq: int
    id: str
    serial: str
    captured_at: str


@dataclass(frozen=True)
class VerdictCounts:
    """Verdicts of one model version on one camera; version "" where none judged."""

    camera: str
    model_version: str
    verdicts: dict[Verdict, int]


@dataclass(frozen=True)
class ShadowCounts:
    """A shadow model: frames that both judged, and how many got another verdict."""

    model_version: str
    frames: int
    disagreements: int


@dataclass(frozen=True)
class OutboxDepth:
    """Undelivered records of one sink: those that are due, and dead letters."""

    sink: str
    due: int
    dead: int


@dataclass(frozen=True)
class StationEvent:
    """What happened to the station."""

    at: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Audit:
    """The account of a period.

    Attributes:
        station, ledger: name and path.
        since, until: the period, from and before, ISO 8601 in UTC; "" where it has no end.
        triggers: in the period: records of any kind and missing numbers.
        verdicts: closed records.
        at_work: open records at which a running station is at work.
        lost: open records that no worker holds.
        missing: how many numbers have no record.
        gaps: those numbers, as first and last of each run of them; of many only the first 100.
        reasons: why parts were not inspected, by kind.
        judged: by camera and model version.
        shadowed: by version.
        waiting: by sink, now.
        not_listening: when a camera could receive no trigger: parts that passed then are in none of
            these numbers, unless the sender of the triggers kept them.
        events: of the station in the period.
    """

    station: str
    ledger: str
    since: str
    until: str
    triggers: int
    verdicts: dict[Verdict, int]
    at_work: tuple[OpenRecord, ...]
    lost: tuple[OpenRecord, ...]
    missing: int
    gaps: tuple[tuple[int, int], ...]
    reasons: dict[str, int]
    judged: tuple[VerdictCounts, ...]
    shadowed: tuple[ShadowCounts, ...]
    waiting: tuple[OutboxDepth, ...]
    not_listening: tuple[NotListening, ...]
    events: tuple[StationEvent, ...]

    @property
    def balances(self) -> bool:
        """triggers = PASS + FAIL + REVIEW + NOT_INSPECTED, but for those being inspected."""
        return self.triggers == sum(self.verdicts.values()) + len(self.at_work)


def audit(
    path: Path,
    station: str,
    since: datetime | None,
    until: datetime | None,
    sinks: Sequence[str] = (),
    now: datetime | None = None,
) -> Audit:
    """Account for the triggers from `since` up to, not including, `until`; None: no limit.

    Args:
        path: of the ledger.
        station: its name.
        since: with a time zone.
        until: with a time zone.
        sinks: names of the outboxes that the station has, for the order of `waiting`.
        now: time for the age of open records; None: the present.

    Raises:
        LedgerError: there is no ledger that could be read.
    """
    # A station that starts or ends meanwhile was at work at one of the two moments.
    running = in_use(path)
    with connected(path, "audits", station) as db:
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("BEGIN")  # one state of the ledger for all that follows
        now = now or datetime.now(UTC)
        found = _account(db, now, running, since, until)
        if found["lost"] and not running and in_use(path):
            db.execute("COMMIT")
            db.execute("BEGIN")
            found = _account(db, now, True, since, until)
        counts = depths(db, sinks, others=True)
        waiting = tuple(OutboxDepth(sink, *depth) for sink, depth in counts.items())
    return Audit(
        station=station,
        ledger=str(path),
        since="" if since is None else since.astimezone(UTC).isoformat(),
        until="" if until is None else until.astimezone(UTC).isoformat(),
        waiting=waiting,
        **found,
    )


def of_part(path: Path, station: str, serial: str) -> list[dict[str, Any]]:
    """All records of a part, the oldest first; `verdict` is None while one is open.

    Raises:
        LedgerError: there is no ledger that could be read.
    """
    with connected(path, "audits", station) as db:
        return rows_of_serial(db, serial)


def _account(
    db: sqlite3.Connection,
    now: datetime,
    running: bool,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    """Figures of the records and events of a period, by attribute of `Audit`."""
    within = period(since, until)
    first, last = _numbers(db, within)
    verdicts, reasons = dict.fromkeys(Verdict, 0), Counter[str]()
    judged: dict[tuple[str, str], Counter[Verdict]] = defaultdict(Counter)
    n_open = 0
    for row in db.execute(GROUPS, {**within, "first": first, "last": last}):
        if row["verdict"] is None:
            n_open += row["n"]
            continue
        verdict = Verdict(row["verdict"])
        verdicts[verdict] += row["n"]
        judged[row["camera"], row["model_version"]][verdict] += row["n"]
        if verdict is Verdict.NOT_INSPECTED:
            reasons[row["kind"]] += row["n"]
    n_records = sum(verdicts.values()) + n_open
    missing, gaps = _gaps(db, first, last, n_records)
    at_work, lost = _open(db, within, now, running)
    return dict(
        triggers=n_records + missing,
        verdicts=verdicts,
        at_work=at_work,
        lost=lost,
        missing=missing,
        gaps=gaps,
        reasons=dict(reasons.most_common()),
        judged=tuple(
            VerdictCounts(camera, version, {v: counts[v] for v in Verdict})
            for (camera, version), counts in sorted(judged.items())
        ),
        shadowed=_shadowed(db, within, first, last),
        not_listening=not_listening(db, within, now, running),
        events=tuple(
            StationEvent(**dict(row))
            for row in db.execute(
                "SELECT at, kind, detail FROM events WHERE at >= :since AND at < :until "
                "ORDER BY seq",
                within,
            )
        ),
    )


def _numbers(db: sqlite3.Connection, within: dict[str, str]) -> tuple[int, int]:
    """First and last number of the period, with those next to it that are missing.

    It is not known when they were given out, so they belong to both neighbours.
    """
    given = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
    end = 0 if given is None else given[0]
    if (within["since"], within["until"]) == FOREVER:
        return 1, end
    low, high = db.execute(
        "SELECT min(seq), max(seq) FROM records "
        "WHERE captured_at >= :since AND captured_at < :until",
        within,
    ).fetchone()
    if low is None:
        before = db.execute(
            "SELECT max(seq) FROM records WHERE captured_at < :since", within
        ).fetchone()[0]
        after = db.execute(
            "SELECT min(seq) FROM records WHERE captured_at >= :until", within
        ).fetchone()[0]
    else:
        before = db.execute("SELECT max(seq) FROM records WHERE seq < ?", (low,)).fetchone()[0]
        after = db.execute("SELECT min(seq) FROM records WHERE seq > ?", (high,)).fetchone()[0]
    return (before or 0) + 1, end if after is None else after - 1


def _gaps(
    db: sqlite3.Connection, first: int, last: int, n_records: int
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """How many numbers have no record, and which."""
    numbers = {"first": first, "last": last, "most": MOST_GAPS}
    n_numbers = max(0, last - first + 1)
    if n_numbers == n_records:
        return 0, ()
    # Records of another time may stand between, where the clock was set.
    here, highest = db.execute(
        "SELECT count(*), max(seq) FROM records WHERE seq BETWEEN :first AND :last", numbers
    ).fetchone()
    if here >= n_numbers:
        return 0, ()
    gaps = [(row["first"], row["last"]) for row in db.execute(GAPS, numbers)]
    if (highest or first - 1) < last:
        gaps.append(((highest or first - 1) + 1, last))
    return n_numbers - here, tuple(gaps)


def _open(
    db: sqlite3.Connection, within: dict[str, str], now: datetime, running: bool
) -> tuple[tuple[OpenRecord, ...], tuple[OpenRecord, ...]]:
    """Records without a verdict: at work, lost."""
    rows = db.execute(
        "SELECT seq, id, serial, captured_at FROM records INDEXED BY records_open "
        "WHERE verdict IS NULL AND captured_at >= :since AND captured_at < :until ORDER BY seq",
        within,
    )
    found = [OpenRecord(**dict(row)) for row in rows]
    young = stamp(now - LOST_AFTER)
    at_work = tuple(r for r in found if running and r.captured_at >= young)
    return at_work, tuple(r for r in found if r not in at_work)


def _shadowed(
    db: sqlite3.Connection, within: dict[str, str], first: int, last: int
) -> tuple[ShadowCounts, ...]:
    """By version. Ids grow with numbers, so those of the period lie between its first and last."""
    ends = "SELECT min(seq), max(seq) FROM records WHERE seq BETWEEN ? AND ?"
    low, high = db.execute(ends, (first, last)).fetchone()
    rows = db.execute(SHADOWS, {**within, "low": low, "high": high})
    return tuple(ShadowCounts(r["version"], r["frames"], r["disagreements"]) for r in rows)
