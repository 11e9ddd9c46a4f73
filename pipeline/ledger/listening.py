"""When each camera of a station could receive triggers, and when it could not.

The account proves that each trigger that was received has one verdict. It can say nothing of a part
that passed while nobody listened, so those times are part of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import stamp

STAMP_EVERY_S = 5.0
# A row that was not stamped for so long belongs to a station that is gone or cannot write.
STALE_AFTER = timedelta(seconds=4 * STAMP_EVERY_S)
UTC = "+00:00"
NO_WORD = "the station was killed, lost power or could not write"

# Those of a period, and the last one before it of each camera.
SPANS = """
WITH before AS (
    SELECT camera, max(seq) AS seq FROM listening WHERE since <= :since GROUP BY camera
)
SELECT listening.camera, since, until, began, ended
FROM listening LEFT JOIN before ON before.camera = listening.camera
WHERE since < :until AND listening.seq >= coalesce(before.seq, 0)
ORDER BY listening.camera, listening.seq
"""


@dataclass(frozen=True)
class NotListening:
    """A time in which a camera could receive no trigger.

    Attributes:
        camera: its name.
        since, until: from and to, ISO 8601 in UTC; `until` is "" where it is not over.
        why: what ended the listening, and what became of triggers sent meanwhile, where known.
    """

    camera: str
    since: str
    until: str
    why: str


class ListeningRows:
    """Writes the rows; each method raises LedgerError where the ledger cannot be written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def begin(self, camera: str, at: datetime, began: str = "") -> int:
        """A camera listens from now on; returns the number of the row."""
        with self._ledger.writing() as db:
            row = db.execute(
                "INSERT INTO listening (camera, since, until, began) VALUES (?, ?, ?, ?)",
                (camera, stamp(at), stamp(at), began),
            )
            assert row.lastrowid is not None
            return row.lastrowid

    def still(self, rows: Iterable[int], at: datetime) -> None:
        """These are still listening, and the station is alive; call it every few seconds."""
        with self._ledger.writing() as db:
            self._ledger.elapsed.note(db, at)
            db.executemany(
                "UPDATE listening SET until = ? WHERE seq = ?", [(stamp(at), row) for row in rows]
            )

    def end(self, row: int, at: datetime, why: str) -> None:
        """A camera has not listened since `at`, nor before the beginning of its row."""
        with self._ledger.writing() as db:
            db.execute(
                "UPDATE listening SET until = max(since, ?), ended = ? WHERE seq = ?",
                (stamp(at), why, row),
            )

    def last(self, camera: str) -> int | None:
        """The latest row of a camera, to go on with it; None where it has ended or is not there."""
        with self._ledger.reading() as db:
            row = db.execute(
                "SELECT seq, ended FROM listening WHERE camera = ? ORDER BY seq DESC LIMIT 1",
                (camera,),
            ).fetchone()
        return None if row is None or row["ended"] else int(row["seq"])


def not_listening(
    db: sqlite3.Connection, within: dict[str, str], now: datetime, running: bool
) -> tuple[NotListening, ...]:
    """The times of a period in which a camera could receive no trigger, by camera and time.

    Nothing is known of the time before the first row of a camera.

    Args:
        db: of the ledger.
        within: the period, as of `queries.period`.
        now: this moment.
        running: is a station at work on the ledger?
    """
    found: list[tuple[str, str, str, str]] = []
    for camera, rows in groupby(db.execute(SPANS, within), key=lambda row: str(row["camera"])):
        spans = list(rows)
        for before, after in pairwise(spans):
            why = "; ".join(filter(None, (before["ended"] or NO_WORD, after["began"])))
            found.append((camera, before["until"], after["since"], why))
        last = spans[-1]
        goes_on = running and not last["ended"] and last["until"] >= stamp(now - STALE_AFTER)
        if not goes_on and last["until"] < within["until"]:
            found.append((camera, last["until"], "", last["ended"] or NO_WORD))
    return tuple(
        NotListening(camera, f"{since}{UTC}", until and f"{until}{UTC}", why)
        for camera, since, until, why in found
        if since != until and since < within["until"] and (not until or until > within["since"])
    )
