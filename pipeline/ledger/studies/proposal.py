"""Which kept frames make a good study: enough near the limits, the others clearly good or bad.

A study of easy parts flatters every appraiser. The AIAG asks for parts near the limits of the
tolerance; for a station that judges by a score these are the parts whose score lies between the
decision limits or close to one of them.
"""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.contracts.records import Record, RecordKind
from pipeline.ledger.queries import record_of

NEAR_ODDS = 3.0  # a score is near a limit if its odds differ from the limit's by up to this factor
SMALLEST = 1e-6
_KEPT = """
SELECT * FROM records WHERE image != '' AND verdict IN ('PASS', 'FAIL', 'REVIEW')
AND defect_score IS NOT NULL AND model_version = ? AND kind = ? ORDER BY seq DESC
"""


@dataclass(frozen=True)
class Proposal:
    """Parts for a study.

    Attributes:
        parts: their records, near ones first, each with a serial of its own.
        near: number of those near a limit.
        clearly_good, clearly_bad: numbers of the others.
        candidates: parts with a kept frame that there were to choose from.
        candidates_near: those of them near a limit.
        without_serial: how many of the chosen parts the station could not recognise again.
    """

    parts: tuple[Record, ...]
    near: int
    clearly_good: int
    clearly_bad: int
    candidates: int
    candidates_near: int
    without_serial: int


def kept_parts(
    db: sqlite3.Connection, station: str, model_version: str, exists: Callable[[str], bool]
) -> list[Record]:
    """The last record of each part whose frame is kept and still there, newest first.

    Known parts of challenge runs are left out: people at the line recognise them.

    Args:
        db: of the ledger.
        station: its name.
        model_version: that judged them: the score of another one shows nothing of its limits.
        exists: is the frame of this path still there?
    """
    found: dict[str, Record] = {}
    for row in db.execute(_KEPT, (model_version, RecordKind.PART)):
        record = record_of(row, station)
        key = record.serial or record.id
        if key not in found and exists(record.image):
            found[key] = record
    return list(found.values())


def distance(score: float, pass_below: float, fail_from: float) -> float:
    """How far a score is from the next decision limit, in log odds; 0 between the limits."""
    if pass_below <= score < fail_from:
        return 0.0
    limits = [limit for limit in (pass_below, fail_from) if 0 < limit < 1]
    return min((abs(_logit(score) - _logit(limit)) for limit in limits), default=math.inf)


def is_near(score: float, pass_below: float, fail_from: float) -> bool:
    """Is a score so near a decision limit that another image could fall on its other side?"""
    return distance(score, pass_below, fail_from) <= math.log(NEAR_ODDS)


def propose(
    candidates: Sequence[Record],
    pass_below: float,
    fail_from: float,
    asked: int,
    asked_near: float,
    seed: int,
) -> Proposal:
    """Choose parts at random: so many near a limit, the rest clearly good and bad by halves.

    Where one kind has too few, the others make up for it, which the result reports. Clearly bad
    parts are taken from all classes in turn.

    Args:
        candidates: parts with kept frames.
        pass_below, fail_from: the decision limits on the defect score.
        asked: number of parts.
        asked_near: share of them near a limit, 0 to 1.
        seed: of the choice.
    """
    chance = random.Random(seed)
    shuffled = chance.sample(list(candidates), len(candidates))
    # Parts that can be recognised again come first: the station is to see them once more.
    shuffled.sort(key=lambda r: not r.serial)
    near = [r for r in shuffled if is_near(r.defect_score or 0.0, pass_below, fail_from)]
    ids = {r.id for r in near}
    clear = [r for r in shuffled if r.id not in ids]
    good = [r for r in clear if (r.defect_score or 0.0) < pass_below]
    bad = _in_turn([r for r in clear if (r.defect_score or 0.0) >= pass_below])
    chosen = near[: round(asked * asked_near)]
    rest = asked - len(chosen)
    n_bad = min(len(bad), rest // 2)
    n_good = min(len(good), rest - n_bad)
    n_bad = min(len(bad), rest - n_good)
    chosen += [*good[:n_good], *bad[:n_bad]]
    missing = asked - len(chosen)
    taken = {r.id for r in chosen}
    chosen += [r for r in near if r.id not in taken][:missing]
    return Proposal(
        parts=tuple(chosen),
        near=sum(r.id in ids for r in chosen),
        clearly_good=n_good,
        clearly_bad=n_bad,
        candidates=len(candidates),
        candidates_near=len(near),
        without_serial=sum(not r.serial for r in chosen),
    )


def _in_turn(records: Sequence[Record]) -> list[Record]:
    """Records with their classes in turn, in the order given within each."""
    place: dict[str, int] = {}
    keyed = []
    for record in records:
        place[record.part_class] = place.get(record.part_class, -1) + 1
        keyed.append((place[record.part_class], record))
    return [record for _, record in sorted(keyed, key=lambda pair: pair[0])]


def _logit(share: float) -> float:
    clipped = min(max(share, SMALLEST), 1 - SMALLEST)
    return math.log(clipped / (1 - clipped))
