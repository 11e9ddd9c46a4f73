"""What people say of parts that the station judged, beside a station that may be at work."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.contracts.records import Record
from pipeline.daemon.model.cache import cached_taxonomy
from pipeline.daemon.settings.line import Line
from pipeline.errors import DataError, choices
from pipeline.ledger.database import record_of
from pipeline.ledger.read_only import connected

# PASS as well: only a person's word on a part that passed shows what escaped.
WAITING = """
SELECT * FROM records WHERE image != ''
AND NOT EXISTS (SELECT 1 FROM reviews WHERE record = records.id)
ORDER BY CASE verdict WHEN 'REVIEW' THEN 1 WHEN 'FAIL' THEN 2 WHEN 'PASS' THEN 3 ELSE 4 END, seq
"""


@dataclass(frozen=True)
class Review:
    """One person's word on one part.

    Attributes:
        record: id of the record.
        reviewed_at: ISO 8601 in UTC.
        reviewer: who answers for it.
        part_class: what the part is, a class of the recipe's taxonomy.
        comment: why, "" without.
    """

    record: str
    reviewed_at: str
    reviewer: str
    part_class: str
    comment: str = ""


class Reviews:
    """The reviews in the ledger of one line; a connection of its own, so a station may run."""

    def __init__(self, line: Line, db: sqlite3.Connection) -> None:
        self._line = line
        self._db = db

    def waiting(self) -> list[Record]:
        """Records with a kept frame that nobody has reviewed, REVIEW first, then the oldest."""
        return [record_of(row, self._line.station) for row in self._db.execute(WAITING)]

    def of(self, identity: str) -> list[Review]:
        """All reviews of one record, in the order they were made; the last one counts."""
        rows = self._db.execute(
            "SELECT record, reviewed_at, reviewer, part_class, comment FROM reviews "
            "WHERE record = ? ORDER BY seq",
            (identity,),
        )
        return [Review(**dict(row)) for row in rows]

    def add(
        self, identity: str, part_class: str, reviewer: str, comment: str, at: datetime
    ) -> tuple[Review, Record]:
        """Commit a review; earlier ones of the same record stay.

        Args:
            identity: the record's id.
            part_class: a class of the recipe, or an alias of one.
            reviewer: who answers for it.
            comment: why, "" without.
            at: when, with a time zone.

        Raises:
            DataError: no such closed record, no such class, or no reviewer.
        """
        row = self._db.execute(
            "SELECT * FROM records WHERE id = ? AND verdict IS NOT NULL", (identity,)
        ).fetchone()
        if row is None:
            raise DataError(
                f"{self._line.ledger} has no closed record {identity}; `lineside review` with "
                "--list shows those that wait"
            )
        if not reviewer.strip():
            raise DataError("--reviewer is empty; name the person who answers for the review")
        review = Review(
            record=identity,
            reviewed_at=at.astimezone(UTC).isoformat(timespec="seconds"),
            reviewer=reviewer.strip(),
            part_class=self._known(part_class),
            comment=comment.strip(),
        )
        self._db.execute(
            "INSERT INTO reviews (record, reviewed_at, reviewer, part_class, comment) "
            "VALUES (?, ?, ?, ?, ?)",
            (identity, review.reviewed_at, review.reviewer, review.part_class, review.comment),
        )
        return review, record_of(row, self._line.station)

    def _known(self, label: str) -> str:
        """The name of the class that a label means."""
        taxonomy = cached_taxonomy(self._line)
        if taxonomy is not None:
            return taxonomy.names[taxonomy.index(label)]
        # No model in the cache, as on a desk with a copy of the ledger: what the last one knew.
        row = self._db.execute(
            "SELECT scores FROM records WHERE scores != '{}' ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        if row is None:
            raise DataError(
                f"nothing says which classes {self._line.recipe} has: no model in "
                f"{self._line.model.cache} and no judged part in {self._line.ledger}"
            )
        names = list(json.loads(row["scores"]))
        if label not in names:
            raise DataError(f'class "{label}" is not one of the model\'s; {choices(label, names)}')
        return label


@contextmanager
def opened(line: Line) -> Iterator[Reviews]:
    """The reviews of a line's station; raises LedgerError as `connected` does."""
    with connected(line, "reviews", write=True) as db:
        yield Reviews(line, db)
