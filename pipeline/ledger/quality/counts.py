"""Closed records by quarter of an hour, camera, model, verdict and class.

A worker counts them behind the station, so that months are read in milliseconds however many
records they have. Each is counted once, by its number, up to the first that is still open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.contracts.records import Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import stamp

PERIOD = timedelta(minutes=15)  # what every time zone's hours and days are made of
AT_ONCE = 2000  # records in one transaction: some 10 ms

_END = """
SELECT coalesce((SELECT last FROM counted), 0),
       coalesce((SELECT min(seq) - 1 FROM records INDEXED BY records_open WHERE verdict IS NULL),
                (SELECT max(seq) FROM records), 0)
"""
_COUNT = """
SELECT substr(captured_at, 1, 14) || printf('%02d', substr(captured_at, 15, 2) / 15 * 15),
       camera, model_version, verdict,
       CASE verdict WHEN 'NOT_INSPECTED' THEN substr(reason, 1, instr(reason || ':', ':') - 1)
       ELSE part_class END,
       count(*), total(defect_score)
FROM records NOT INDEXED
WHERE seq > ? AND seq <= ? AND verdict IS NOT NULL AND kind = 'part' GROUP BY 1, 2, 3, 4, 5
"""
_ADD = """
INSERT INTO verdict_counts VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n, score_sum = score_sum + excluded.score_sum
"""
_WITHIN = "period >= :since AND period < :until AND (:camera = '' OR camera = :camera)"
_READ = f"""
SELECT {{period}} AS begun, verdict, label, sum(n), sum(score_sum) FROM verdict_counts
WHERE {_WITHIN} GROUP BY begun, verdict, label ORDER BY begun
"""
_INSPECTED = f"""
SELECT period, model_version, sum(n), sum(n) FILTER (WHERE verdict = 'FAIL') FROM verdict_counts
WHERE {_WITHIN} AND verdict != 'NOT_INSPECTED' GROUP BY period, model_version ORDER BY period
"""


class Count(NamedTuple):
    """Records of one kind in one quarter of an hour, or in one hour.

    Attributes:
        period: when it began, in UTC.
        verdict: of the records.
        label: their class; of NOT_INSPECTED the kind of reason.
        n: how many.
        score_sum: of their defect scores.
    """

    period: datetime
    verdict: Verdict
    label: str
    n: int
    score_sum: float


class Inspected(NamedTuple):
    """Parts that one model inspected in one quarter of an hour.

    Attributes:
        period: when it began, in UTC.
        model_version: of the model.
        n: parts with PASS, FAIL or REVIEW.
        fails: those of them with FAIL.
    """

    period: datetime
    model_version: str
    n: int
    fails: int


@dataclass(frozen=True)
class CountProgress:
    """How far counting has come.

    Attributes:
        last: number of the last record that is counted.
        end: number of the last one that can be.
    """

    last: int
    end: int

    @property
    def done(self) -> bool:
        """Is every closed record counted, but for those behind an open one?"""
        return self.last >= self.end

    @property
    def share(self) -> float:
        """Of the numbers that are counted, 0 to 1."""
        return 1.0 if self.done else self.last / self.end


def count_next(ledger: Ledger, most: int = AT_ONCE) -> CountProgress:
    """Count the next records that are closed; the caller repeats it until it is `done`.

    Raises:
        LedgerError: the ledger cannot be read or written; nothing was counted.
    """
    with ledger.reading() as db:
        found = progress(db)
        if found.done:
            return found
        upto = min(found.last + most, found.end)
        rows = [tuple(row) for row in db.execute(_COUNT, (found.last, upto)).fetchall()]
    with ledger.writing() as db:
        if progress(db).last != found.last:  # an abandoned worker has woken up and counted, too
            return progress(db)
        db.executemany(_ADD, rows)
        db.execute(
            "INSERT INTO counted VALUES (1, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
            (upto,),
        )
    return CountProgress(upto, found.end)


def progress(db: sqlite3.Connection) -> CountProgress:
    """How far counting has come."""
    last, end = db.execute(_END).fetchone()
    return CountProgress(last, end)


def read_counts(
    db: sqlite3.Connection,
    since: datetime,
    until: datetime,
    camera: str = "",
    *,
    by_hour: bool = False,
) -> list[Count]:
    """Counts of the periods that begin from `since` on and before `until`, in their order.

    Args:
        db: of the ledger.
        since: with a time zone.
        until: with a time zone.
        camera: by its name; "" for all.
        by_hour: add up the hours of UTC, which takes a third of the time.
    """
    period = "substr(period, 1, 13) || ':00'" if by_hour else "period"
    values = {"since": _text(since), "until": _text(until), "camera": camera}
    rows = db.execute(_READ.format(period=period), values).fetchall()
    times = {text: _time(text) for text in {row[0] for row in rows}}
    verdicts = {str(verdict): verdict for verdict in Verdict}
    return [Count(times[at], verdicts[v], label, n, s) for at, v, label, n, s in map(tuple, rows)]


def read_inspected(
    db: sqlite3.Connection, since: datetime, until: datetime, camera: str = ""
) -> list[Inspected]:
    """Inspected parts by quarter of an hour and model; arguments as of `read_counts`."""
    values = {"since": _text(since), "until": _text(until), "camera": camera}
    rows = db.execute(_INSPECTED, values).fetchall()
    return [Inspected(_time(row[0]), row[1], row[2], row[3] or 0) for row in rows]


def period_of(at: datetime) -> datetime:
    """When the period of a time began, in UTC."""
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


@dataclass(frozen=True)
class DriftSample:
    """Drift of one model at the end of a period; attributes as of `daemon.inspection.drift`.

    Attributes:
        period: when it began, in UTC.
        model_version: of the model.
        parts: that it had judged by then.
        score, novelty: weighted means; None where they are not known.
        score_first, novelty_first: means of its first parts; None until they came.
    """

    period: datetime
    model_version: str
    parts: int
    score: float | None
    score_first: float | None
    novelty: float | None
    novelty_first: float | None


def add_drift(ledger: Ledger, sample: DriftSample) -> None:
    """Commit a sample, in place of a former one of the same period; raises LedgerError."""
    with ledger.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO drift_samples VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(_text(sample.period), sample.model_version, sample.parts),
                *(sample.score, sample.score_first, sample.novelty, sample.novelty_first),
            ),
        )


def read_drift(db: sqlite3.Connection, since: datetime, until: datetime) -> list[DriftSample]:
    """Samples of the periods that begin from `since` on and before `until`, in their order."""
    query = "SELECT * FROM drift_samples WHERE period >= ? AND period < ? ORDER BY period"
    rows: Iterable[sqlite3.Row] = db.execute(query, (_text(since), _text(until))).fetchall()
    return [DriftSample(_time(row[0]), *tuple(row)[1:]) for row in rows]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _text(at: datetime) -> str:
    """A time as periods are written; one within a period sorts behind its beginning."""
    return stamp(at)[:16] if at.second == at.microsecond == 0 else stamp(at)
