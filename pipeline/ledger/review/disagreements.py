"""Parts of which people think differently, until most of them agree with what counts."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.records import Record
from pipeline.ledger.queries import closed_record
from pipeline.ledger.review.reviews import PartReview, standing_reviews

_DIFFERENT = """
SELECT record FROM standing_reviews
GROUP BY record HAVING count(DISTINCT part_class) > 1 ORDER BY max(seq) DESC
"""


@dataclass(frozen=True)
class Disagreement:
    """A part of which people think differently.

    Attributes:
        record: of the part.
        reviews: one of each person, in their order; the last one counts until this is settled.
    """

    record: Record
    reviews: Sequence[PartReview]


def disagreements(db: sqlite3.Connection, station: str) -> list[Disagreement]:
    """Those that are not settled, the latest first.

    Args:
        db: of the ledger.
        station: its name.
    """
    found = []
    for row in db.execute(_DIFFERENT).fetchall():
        reviews = standing_reviews(db, row["record"])
        record = closed_record(db, row["record"], station)
        if record is not None and not is_settled(reviews):
            found.append(Disagreement(record, reviews))
    return found


def is_settled(reviews: Sequence[PartReview]) -> bool:
    """Do more people think what the last of them thinks than any other class?

    Args:
        reviews: one of each person, in their order.
    """
    counts = Counter(review.part_class for review in reviews)
    if len(counts) < 2:
        return True
    that_counts = counts.pop(reviews[-1].part_class)
    return that_counts > max(counts.values())
