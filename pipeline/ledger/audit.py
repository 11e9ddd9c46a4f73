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

from pipeline.contracts.records import RecordKind, Verdict
from pipeline.ledger.database import connected
from pipeline.ledger.listening import NotListening, not_listening
from pipeline.ledger.lock import in_use
from pipeline.ledger.outbox import depths
from pipeline.ledger.queries import FOREVER, period, rows_of_serial, stamp
from pipeline.ledger.tally import tally
from pipeline.ledger.upkeep.archives import with_archives

LOST_AFTER = timedelta(minutes=15)  # open for longer: no station is at work on it, running or not


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
        verdicts: closed records of parts.
        challenge: closed records of the known parts of challenge runs.
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
    challenge: dict[Verdict, int]
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
        """triggers = PASS + FAIL + REVIEW + NOT_INSPECTED + challenge, but for those at work."""
        closed = sum(self.verdicts.values()) + sum(self.challenge.values())
        return self.triggers == closed + len(self.at_work)


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
        db.execute("BEGIN")  # one state of the ledger for all that follows
        now = now or datetime.now(UTC)
        with with_archives(db, path) as files:
            found = _account(files, now, running, since, until)
        if found["lost"] and not running and in_use(path):
            db.execute("COMMIT")
            db.execute("BEGIN")
            with with_archives(db, path) as files:
                found = _account(files, now, True, since, until)
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
        db.execute("BEGIN")
        rows: dict[int, dict[str, Any]] = {}
        with with_archives(db, path) as files:
            for file in files:
                for row in rows_of_serial(file, serial):
                    rows.setdefault(row["seq"], row)
        return [rows[seq] for seq in sorted(rows)]


def _account(
    files: Sequence[sqlite3.Connection],
    now: datetime,
    running: bool,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    """Figures of the records and events of a period, by attribute of `Audit`.

    Args:
        files: the ledger and its archives.
        now: time for the age of open records.
        running: is a station at work on the ledger?
        since: with a time zone; None: no limit.
        until: with a time zone; None: no limit.
    """
    db, within = files[0], period(since, until)
    first, last = _numbers(files, within)
    found = tally(files, first, last, within)
    verdicts, reasons = dict.fromkeys(Verdict, 0), Counter[str]()
    challenge = dict.fromkeys(Verdict, 0)
    judged: dict[tuple[str, str], Counter[Verdict]] = defaultdict(Counter)
    for (of_group, camera, version, kind, of_kind), n in found.groups.items():
        if of_group is None:
            continue
        verdict = Verdict(of_group)
        if of_kind != RecordKind.PART:
            challenge[verdict] += n
            continue
        verdicts[verdict] += n
        judged[camera, version][verdict] += n
        if verdict is Verdict.NOT_INSPECTED:
            reasons[kind] += n
    at_work, lost = _open(db, within, now, running)
    return dict(
        triggers=found.groups.total() + found.missing,
        verdicts=verdicts,
        challenge=challenge,
        at_work=at_work,
        lost=lost,
        missing=found.missing,
        gaps=tuple(found.gaps),
        reasons=dict(reasons.most_common()),
        judged=tuple(
            VerdictCounts(camera, version, {v: counts[v] for v in Verdict})
            for (camera, version), counts in sorted(judged.items())
        ),
        shadowed=tuple(
            ShadowCounts(version, n, found.disagreements[version])
            for version, n in sorted(found.frames.items())
        ),
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


def _numbers(files: Sequence[sqlite3.Connection], within: dict[str, str]) -> tuple[int, int]:
    """First and last number of the period, with those next to it that are missing.

    It is not known when they were given out, so they belong to both neighbours.
    """
    given = files[0].execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
    end = 0 if given is None else given[0]
    if (within["since"], within["until"]) == FOREVER:
        return 1, end

    def found(query: str, values: dict[str, Any]) -> list[int]:
        every = (value for db in files for value in db.execute(query, values).fetchone())
        return [value for value in every if value is not None]

    inside = found(
        "SELECT min(seq), max(seq) FROM records "
        "WHERE captured_at >= :since AND captured_at < :until",
        within,
    )
    if inside:
        ends = {"low": min(inside), "high": max(inside)}
        before = found("SELECT max(seq) FROM records WHERE seq < :low", ends)
        after = found("SELECT min(seq) FROM records WHERE seq > :high", ends)
    else:
        before = found("SELECT max(seq) FROM records WHERE captured_at < :since", within)
        after = found("SELECT min(seq) FROM records WHERE captured_at >= :until", within)
    return max(before, default=0) + 1, min(after) - 1 if after else end


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
