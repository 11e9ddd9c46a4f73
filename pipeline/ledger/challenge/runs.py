"""Challenge runs and what they are needed after, as they stand in the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import Record, Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.queries import record_of

MOST_RECORDS = 1000  # of one run


class RunOpen(LedgerError):
    """Another run is open: there is one at a time."""


@dataclass(frozen=True)
class ChallengeRun:
    """A challenge run.

    Attributes:
        id: its number.
        started_at: ISO 8601 in UTC.
        started_s: the same moment as of `Elapsed`; None until the station has taken it up.
        started_by: who presents the parts.
        model_version: that was at work when the station took it up.
        within_s: how long it may take, in seconds.
        parts: that are to be presented, in their order.
        ended_at: ISO 8601 in UTC, "" while it is open.
        ended_s: as of `Elapsed`.
        passed: None while it is open.
        reason: why it has not passed, "" where it has.
    """

    id: int
    started_at: str
    started_s: float | None
    started_by: str
    model_version: str
    within_s: float
    parts: tuple[KnownPart, ...]
    ended_at: str = ""
    ended_s: float | None = None
    passed: bool | None = None
    reason: str = ""

    @property
    def open(self) -> bool:
        """May parts still be presented?"""
        return not self.ended_at


@dataclass(frozen=True)
class Cause:
    """What a challenge run is needed after.

    Attributes:
        kind: such as `model`.
        detail: such as the version of the model.
        at: ISO 8601 in UTC.
        at_s: the same moment as of `Elapsed`.
    """

    kind: str
    detail: str
    at: str
    at_s: float


def begin(
    db: sqlite3.Connection,
    at: datetime,
    by: str,
    parts: Sequence[KnownPart],
    within_s: float,
) -> ChallengeRun:
    """Begin a run; the station takes it up with `take_up`.

    Raises:
        RunOpen: another one is open.
    """
    given = json.dumps([asdict(part) for part in parts], ensure_ascii=False)
    try:
        done = db.execute(
            "INSERT INTO challenge_runs (started_at, started_by, within_s, parts) "
            "VALUES (?, ?, ?, ?)",
            (at.astimezone(UTC).isoformat(timespec="seconds"), by, within_s, given),
        )
    except sqlite3.IntegrityError:
        there = open_run(db)
        whose = "" if there is None else f" {there.id} of {there.started_by}"
        raise RunOpen(
            f"challenge run{whose} is open; present its parts, or wait until its time is over"
        ) from None
    found = run(db, int(done.lastrowid or 0))
    assert found is not None
    return found


def take_up(db: sqlite3.Connection, identity: int, at_s: float, model_version: str) -> None:
    """Let a run's time begin.

    Args:
        db: in a transaction.
        identity: number of the run.
        at_s: now, as of `Elapsed`.
        model_version: at work.
    """
    db.execute(
        "UPDATE challenge_runs SET started_s = ?, model_version = ? WHERE seq = ?",
        (at_s, model_version, identity),
    )


def end(
    db: sqlite3.Connection, identity: int, at: datetime, at_s: float, passed: bool, reason: str
) -> None:
    """End an open run."""
    db.execute(
        "UPDATE challenge_runs SET ended_at = ?, ended_s = ?, passed = ?, reason = ? WHERE seq = ?",
        (at.astimezone(UTC).isoformat(timespec="seconds"), at_s, passed, reason, identity),
    )


def run(db: sqlite3.Connection, identity: int) -> ChallengeRun | None:
    """A run by its number; None where there is none."""
    row = db.execute("SELECT * FROM challenge_runs WHERE seq = ?", (identity,)).fetchone()
    return None if row is None else _run_of(row)


def open_run(db: sqlite3.Connection) -> ChallengeRun | None:
    """The run that is open; None where none is."""
    row = db.execute("SELECT * FROM challenge_runs WHERE ended_at = ''").fetchone()
    return None if row is None else _run_of(row)


def recent(db: sqlite3.Connection, limit: int, *, passed: bool | None = None) -> list[ChallengeRun]:
    """The last runs that have ended, newest first; those that have passed or not, or all."""
    query = (
        "SELECT * FROM challenge_runs WHERE ended_at != '' AND (? IS NULL OR passed = ?) "
        "ORDER BY seq DESC LIMIT ?"
    )
    return [_run_of(row) for row in db.execute(query, (passed, passed, limit)).fetchall()]


def records_of(
    db: sqlite3.Connection, identity: int, station: str
) -> list[tuple[int | None, Record]]:
    """The closed records of a run in the order of their triggers, each with which part it was."""
    rows = db.execute(
        "SELECT records.*, challenge_records.part AS known FROM challenge_records "
        "JOIN records ON records.id = challenge_records.record "
        "WHERE challenge_records.run = ? AND verdict IS NOT NULL ORDER BY records.seq LIMIT ?",
        (identity, MOST_RECORDS),
    )
    return [(row["known"], record_of(row, station)) for row in rows.fetchall()]


def add_cause(db: sqlite3.Connection, cause: Cause) -> None:
    """Note what a run is needed after."""
    row = (cause.kind, cause.detail, cause.at, cause.at_s)
    db.execute("INSERT INTO challenge_causes (kind, detail, at, at_s) VALUES (?, ?, ?, ?)", row)


def causes_after(db: sqlite3.Connection, after_s: float) -> list[Cause]:
    """What a run was needed after since a moment, as of `Elapsed`, in the order of time."""
    query = "SELECT kind, detail, at, at_s FROM challenge_causes WHERE at_s > ? ORDER BY at_s, seq"
    return [Cause(**dict(row)) for row in db.execute(query, (after_s,)).fetchall()]


def _run_of(row: sqlite3.Row) -> ChallengeRun:
    parts = (
        KnownPart(**{**p, "verdict": None if p["verdict"] is None else Verdict(p["verdict"])})
        for p in json.loads(row["parts"])
    )
    passed = None if row["passed"] is None else bool(row["passed"])
    rest = {k: row[k] for k in ("started_at", "started_s", "started_by", "model_version")}
    ended = {k: row[k] for k in ("within_s", "ended_at", "ended_s", "reason")}
    return ChallengeRun(id=row["seq"], parts=tuple(parts), passed=passed, **rest, **ended)
