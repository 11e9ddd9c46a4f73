"""Reviews: what people find of parts that the station judged, also while the station runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.contracts.records import Record, RecordKind
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.errors import DataError, choices
from pipeline.ledger.database import connected
from pipeline.ledger.queries import closed_record, record_of
from pipeline.ledger.upkeep.archives import archived_record

# PASS as well: only a person's word on a part that passed shows what escaped.
WAITING = """
SELECT * FROM records WHERE image != '' AND kind = 'part'
AND NOT EXISTS (SELECT 1 FROM standing_reviews WHERE record = records.id)
ORDER BY CASE verdict WHEN 'REVIEW' THEN 1 WHEN 'FAIL' THEN 2 WHEN 'PASS' THEN 3 ELSE 4 END, seq
"""
WITHDRAWN = ""  # in place of a class


class NotReviewable(DataError):
    """No record to review: unknown, still open, in an archive, or of a challenge run."""


@dataclass(frozen=True)
class PartReview:
    """One person's finding on one part.

    Attributes:
        record: id of the record.
        reviewed_at: ISO 8601 in UTC.
        reviewer: name of the responsible person.
        part_class: what the part is, a class of the recipe's taxonomy; "" withdraws the reviewer's
            earlier findings.
        comment: the reason, "" for none.
    """

    record: str
    reviewed_at: str
    reviewer: str
    part_class: str
    comment: str = ""


class Reviews:
    """The reviews in the ledger of one station."""

    def __init__(self, path: Path, station: str, db: sqlite3.Connection) -> None:
        self._path = path
        self._station = station
        self._db = db

    def waiting(self) -> list[Record]:
        """Records with a kept frame and without a review, REVIEW first, then the oldest."""
        return [record_of(row, self._station) for row in self._db.execute(WAITING)]

    def of(self, identity: str) -> list[PartReview]:
        """All reviews of one record, in the order they were made; the last one counts."""
        rows = self._db.execute(
            "SELECT record, reviewed_at, reviewer, part_class, comment FROM reviews "
            "WHERE record = ? ORDER BY seq",
            (identity,),
        )
        return [PartReview(**dict(row)) for row in rows]

    def standing(self, identity: str) -> list[PartReview]:
        """What each person thinks of a part now, in the order of the reviews."""
        return standing_reviews(self._db, identity)

    def add(
        self,
        identity: str,
        part_class: str,
        reviewer: str,
        comment: str,
        at: datetime,
        taxonomy: Taxonomy | None = None,
    ) -> tuple[PartReview, Record]:
        """Commit a review; earlier ones of the same record stay.

        Args:
            identity: the record's id.
            part_class: a class of the recipe, or an alias of one.
            reviewer: name of the responsible person.
            comment: the reason, "" for none.
            at: when, with a time zone.
            taxonomy: the classes of the station's model; None where there is no model here, as on a
                desk with a copy of the ledger: then those of the last judged part.

        Raises:
            NotReviewable: no such closed record.
            DataError: no such class, or no reviewer.
        """
        record = self.closed(identity)
        if not reviewer.strip():
            raise DataError("--reviewer is empty; name the person who answers for the review")
        review = PartReview(
            record=identity,
            reviewed_at=at.astimezone(UTC).isoformat(timespec="seconds"),
            reviewer=reviewer.strip(),
            part_class=self._known(part_class, taxonomy),
            comment=comment.strip(),
        )
        self._insert(review)
        return review, record

    def add_once(
        self,
        identity: str,
        part_class: str,
        reviewer: str,
        comment: str,
        at: datetime,
        taxonomy: Taxonomy | None = None,
    ) -> tuple[PartReview, Record]:
        """Commit a review, unless the same one of this person stands already: a repeated answer.

        Arguments, result and errors are as of `add`; the review is the one that stands.
        """
        with self._alone():
            name = self._known(part_class, taxonomy)
            mine = next((r for r in self.standing(identity) if r.reviewer == reviewer), None)
            if mine is not None and (mine.part_class, mine.comment) == (name, comment.strip()):
                return mine, self.closed(identity)
            return self.add(identity, name, reviewer, comment, at, taxonomy)

    def withdraw(self, identity: str, reviewer: str, at: datetime) -> Record:
        """Commit that this person's findings on a part do not count; where none does, do nothing.

        Raises:
            NotReviewable: no such closed record.
        """
        with self._alone():
            record = self.closed(identity)
            if any(r.reviewer == reviewer for r in self.standing(identity)):
                stamp = at.astimezone(UTC).isoformat(timespec="seconds")
                self._insert(PartReview(identity, stamp, reviewer, WITHDRAWN))
            return record

    def classes(self, taxonomy: Taxonomy | None) -> tuple[str, ...]:
        """Names of the classes that a part may be given, in the model's order; () if unknown.

        Args:
            taxonomy: of the station's model; None: those of the last judged part count.
        """
        if taxonomy is not None:
            return taxonomy.names
        row = self._db.execute(
            "SELECT scores FROM records WHERE scores != '{}' ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return () if row is None else tuple(json.loads(row["scores"]))

    def closed(self, identity: str) -> Record:
        """A closed record; raises NotReviewable, with where it went, if there is none."""
        record = closed_record(self._db, identity, self._station)
        if record is not None and record.kind is not RecordKind.PART:
            raise NotReviewable(
                f"record {identity} is of a known part, which a challenge run presented: what it "
                "is is known, and training does not learn from it"
            )
        if record is not None:
            return record
        raise NotReviewable(
            self._archived(identity)
            or f"{self._path} has no closed record {identity}; `lineside review` with "
            "--list shows those that wait"
        )

    def _insert(self, review: PartReview) -> None:
        self._db.execute(
            "INSERT INTO reviews (record, reviewed_at, reviewer, part_class, comment) "
            "VALUES (:record, :reviewed_at, :reviewer, :part_class, :comment)",
            asdict(review),
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One transaction, in which nobody else writes; the caller's, where that has begun one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _archived(self, identity: str) -> str:
        """Why a record that was moved into an archive cannot be reviewed; "" for no such record."""
        found = archived_record(self._db, self._path, identity, self._station)
        if found is None:
            return ""
        record, file = found
        return (
            f"record {identity} ({record.captured_at[:10]}, {record.serial or 'no serial'}) is "
            f"archived in {file}: no frame of it is kept, so there is nothing to review; "
            "`lineside audit` with --serial shows it"
        )

    def _known(self, label: str, taxonomy: Taxonomy | None) -> str:
        """The name of the class that a label means."""
        if taxonomy is not None:
            return taxonomy.names[taxonomy.index(label)]
        names = self.classes(None)
        if not names:
            raise DataError(
                "the classes are not known: no model in the station's cache (model.cache in the "
                f"line file) and no judged part in {self._path}"
            )
        if label not in names:
            raise DataError(f'class "{label}" is not one of the model\'s; {choices(label, names)}')
        return label


def standing_reviews(db: sqlite3.Connection, identity: str) -> list[PartReview]:
    """What each person thinks of a part now, in the order of the reviews; the last one counts."""
    query = (
        "SELECT record, reviewed_at, reviewer, part_class, comment FROM standing_reviews "
        "WHERE record = ? ORDER BY seq"
    )
    return [PartReview(**dict(row)) for row in db.execute(query, (identity,))]


@contextmanager
def opened(path: Path, station: str) -> Iterator[Reviews]:
    """The reviews in a station's ledger; raises LedgerError as `connected` does."""
    with connected(path, "reviews", station, write=True) as db:
        yield Reviews(path, station, db)
