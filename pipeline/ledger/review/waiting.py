"""Which parts wait for a person, and in which order."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.queries import record_of
from pipeline.ledger.review.reviews import standing_reviews

MOST = 20_000  # parts that are put in order at once: 0.3 s of a slow core

_DISPUTED = """
EXISTS (SELECT 1 FROM shadows WHERE record = records.id AND shadows.verdict != 'NOT_INSPECTED'
        AND (shadows.verdict != records.verdict OR shadows.part_class != records.part_class))
"""
# Without naming the index, SQLite may scan the parts of which no frame was kept.
_WAITING = f"""
SELECT seq, id, verdict, part_class, scores, {_DISPUTED} AS disputed,
       (SELECT count(*) FROM standing_reviews WHERE record = records.id) AS reviewers,
       (SELECT min(reviewer) FROM standing_reviews WHERE record = records.id) AS reviewed_by
FROM records INDEXED BY records_kept
WHERE image != '' AND verdict IS NOT NULL AND kind = 'part' AND reviewers < 2
ORDER BY seq {{direction}}
"""


class ReviewOrder(StrEnum):
    """In which order parts come."""

    DOUBT = "doubt"  # REVIEW first, then the least sure; what was not inspected last
    AGE = "age"  # the oldest first
    CLASS = "class"  # those that the station called the same together, each by doubt
    DISAGREEMENT = "disagreement"  # those that the challenger judged differently first


@dataclass(frozen=True, slots=True)
class WaitingPart:
    """A part that waits for a person.

    Attributes:
        seq, id: of its record.
        verdict, part_class: the station's.
        doubt: 1 minus the difference of its two highest class probabilities (margin sampling:
            Settles, Active Learning Literature Survey, 2009, 3.1); 0 where it was not inspected.
        disputed: did a challenger judge it differently, in its verdict or class?
        reviewed_by: the person who has reviewed it, where a second one is asked; else "".
    """

    seq: int
    id: str
    verdict: Verdict
    part_class: str
    doubt: float
    disputed: bool
    reviewed_by: str = ""


def waiting_parts(
    db: sqlite3.Connection,
    second_share: float = 0.0,
    *,
    oldest: bool = False,
    most: int = MOST,
) -> list[WaitingPart]:
    """Parts with a kept frame that nobody has reviewed, or one person where a second is asked.

    Args:
        db: of the ledger.
        second_share: share of the reviewed parts of which a second person is asked, 0 to 1.
        oldest: the first `most` of them rather than the last.
        most: how many.
    """
    found = []
    rows = db.execute(_WAITING.format(direction="ASC" if oldest else "DESC"))
    for row in rows:
        if row["reviewers"] and not second_is_due(row["id"], second_share):
            continue
        found.append(
            WaitingPart(
                *(row["seq"], row["id"], Verdict(row["verdict"]), row["part_class"]),
                *(doubt_of(json.loads(row["scores"]).values()), bool(row["disputed"])),
                row["reviewed_by"] or "",
            )
        )
        if len(found) == most:
            break
    rows.close()
    return found


def in_order(
    parts: Iterable[WaitingPart], order: ReviewOrder, classes: Sequence[str] = ()
) -> list[WaitingPart]:
    """Parts in the order in which a person gets them.

    Args:
        parts: in any order.
        order: see there.
        classes: in the model's order, which that by class follows; others come last.
    """
    rank = {name: i for i, name in enumerate(classes)}

    def key(part: WaitingPart) -> tuple[object, ...]:
        group = {Verdict.REVIEW: 0, Verdict.NOT_INSPECTED: 2}.get(part.verdict, 1)
        by_doubt = group, -part.doubt, part.seq
        match order:
            case ReviewOrder.AGE:
                return (part.seq,)
            case ReviewOrder.CLASS:
                return rank.get(part.part_class, len(rank)), part.part_class, *by_doubt
            case ReviewOrder.DISAGREEMENT:
                return not part.disputed, *by_doubt
            case ReviewOrder.DOUBT:
                return by_doubt

    return sorted(parts, key=key)


def waiting_record(
    db: sqlite3.Connection, station: str, identity: str, person: str, second_share: float = 0.0
) -> Record | None:
    """The record of a part that waits for this person now; None where it does not.

    Args:
        db: of the ledger.
        station: its name.
        identity: the record's id.
        person: who would review it: never a second time.
        second_share: as of `waiting_parts`.
    """
    query = (
        "SELECT * FROM records WHERE id = ? AND image != '' AND verdict IS NOT NULL "
        "AND kind = 'part'"
    )
    row = db.execute(query, (identity,)).fetchone()
    if row is None:
        return None
    people = {review.reviewer for review in standing_reviews(db, identity)}
    if len(people) > 1 or person in people:
        return None
    if people and not second_is_due(identity, second_share):
        return None
    return record_of(row, station)


def doubt_of(probabilities: Iterable[float]) -> float:
    """1 minus the difference of the two highest probabilities; 0 where there are fewer."""
    first, second, *_ = [*sorted(probabilities, reverse=True), 0.0, 0.0]
    return 1 - (first - second) if second else 0.0


def second_is_due(identity: str, share: float) -> bool:
    """Is a second person asked about this part? The same answer each time.

    Other bits than those that choose which passed parts are kept, so the two are independent.
    """
    drawn = int.from_bytes(hashlib.sha256(identity.encode()).digest()[8:16]) / 2**64
    return drawn < share
