"""How far the reviews are enough for the next training, class by class."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A part counts once, with the review that counts; the station was corrected where it was sure.
_REVIEWED = """
SELECT given.part_class AS part_class, count(*) AS reviewed,
       count(*) FILTER (WHERE records.verdict IN ('PASS', 'FAIL')
                        AND records.part_class != given.part_class) AS corrected
FROM standing_reviews AS given JOIN records ON records.id = given.record
WHERE records.image != '' AND records.kind = 'part'
AND given.seq = (SELECT max(seq) FROM standing_reviews WHERE record = given.record)
GROUP BY given.part_class
"""
FEWEST, CORRECTED = "fewest", "corrected"


@dataclass(frozen=True)
class ClassProgress:
    """The reviews of one class.

    Attributes:
        name: of the class.
        reviewed: parts with a kept frame that people gave this class: what training would get.
        corrected: those of them that the station had judged another class, without doubt.
        waiting: parts that wait for a person and that the station called so.
        lacking: parts until there are enough.
        known: is it a class of the station's model?
    """

    name: str
    reviewed: int
    corrected: int
    waiting: int
    lacking: int
    known: bool = True


def progress(
    db: sqlite3.Connection, classes: Sequence[str], enough: int, waiting: Mapping[str, int]
) -> list[ClassProgress]:
    """The progress of each class, in the model's order; behind them classes of former models.

    Args:
        db: of the ledger.
        classes: of the station's model, in its order.
        enough: reviewed parts that a class should have.
        waiting: parts that wait, by the class that the station gave them.
    """
    rows = {row["part_class"]: row for row in db.execute(_REVIEWED).fetchall()}
    found = []
    for name in (*classes, *sorted(set(rows) - set(classes))):
        row = rows.get(name)
        reviewed, corrected = (0, 0) if row is None else (row["reviewed"], row["corrected"])
        known = name in classes
        lacking = max(0, enough - reviewed) if known else 0
        found.append(ClassProgress(name, reviewed, corrected, waiting.get(name, 0), lacking, known))
    return found


def most_helpful(found: Sequence[ClassProgress]) -> tuple[str, str]:
    """The class of which more reviews would help most, and the rule that shows it.

    `FEWEST`: of the classes that lack reviewed parts the one that lacks most of them. `CORRECTED`:
    none lacks any, and of this one people corrected the largest share. Both are "" where neither
    shows one.
    """
    known = [one for one in found if one.known]
    lacking = max(known, key=lambda one: one.lacking, default=None)
    if lacking is not None and lacking.lacking:
        return lacking.name, FEWEST
    wrong = max(known, key=lambda one: one.corrected / max(one.reviewed, 1), default=None)
    if wrong is not None and wrong.corrected:
        return wrong.name, CORRECTED
    return "", ""
