"""The station as an appraiser: its records of a study's parts since the study began.

Only new images count. The same picture judged again gives the same score: that is arithmetic and
shows nothing of what lighting, position, camera and trigger do from one image to the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.records import Record, Verdict
from pipeline.contracts.study import JUDGEMENT_OF, Appraisal, Study
from pipeline.ledger.queries import record_of

_OF_SERIAL = """
SELECT * FROM records WHERE serial = ? AND captured_at > ? AND verdict IS NOT NULL ORDER BY seq
"""


@dataclass(frozen=True)
class Presented:
    """What the station made of a study's parts so far.

    Attributes:
        appraisals: its answers, of each part the first `trials`.
        not_inspected: further images of these parts that got no verdict.
        missing: how many images of each part are still to be taken, by part number.
        without_serial: numbers of the parts that it cannot recognise.
        models: versions that answered.
        same_pictures: has every part got exactly the same score in each of several images? That is
            what the same picture gives when it is judged again, and no camera does it twice.
    """

    appraisals: tuple[Appraisal, ...]
    not_inspected: int
    missing: dict[int, int]
    without_serial: tuple[int, ...]
    models: tuple[str, ...]
    same_pictures: bool

    @property
    def complete(self) -> bool:
        """Has every part been seen in every trial?"""
        return not self.missing and not self.without_serial


def presented(db: sqlite3.Connection, study: Study, known: Sequence[Appraisal] = ()) -> Presented:
    """Collect the station's answers on a study's parts, by serial.

    Args:
        db: of the station's ledger.
        study: the plan; only images taken after it was made count.
        known: answers that were collected before, whose records may be archived by now.
    """
    answers, not_inspected, repeated = list[Appraisal](), 0, list[bool]()
    missing, nameless = dict[int, int](), list[int]()
    for part in study.parts:
        if not part.serial:
            nameless.append(part.number)
            continue
        before = {one.by: one for one in known if one.part == part.number}
        rows = db.execute(_OF_SERIAL, (part.serial, study.created_at[:19])).fetchall()
        records = [record_of(row, study.station) for row in rows]
        after = [r for r in records if r.id != part.record]
        not_inspected += sum(r.verdict is Verdict.NOT_INSPECTED for r in after)
        found = before | {r.id: _appraisal(r, part.number) for r in after if _judged(r)}
        # Ids are in the order of time.
        counted = [found[identity] for identity in sorted(found)][: study.trials]
        if len(counted) > 1:
            repeated.append(len({one.defect_score for one in counted}) == 1)
        answers += [a.model_copy(update={"trial": n}) for n, a in enumerate(counted, 1)]
        if len(counted) < study.trials:
            missing[part.number] = study.trials - len(counted)
    models = tuple(sorted({a.model_version for a in answers}))
    return Presented(
        tuple(answers),
        not_inspected,
        missing,
        tuple(nameless),
        models,
        same_pictures=bool(repeated) and all(repeated),
    )


def _judged(record: Record) -> bool:
    return record.verdict in JUDGEMENT_OF


def _appraisal(record: Record, number: int) -> Appraisal:
    return Appraisal(
        trial=1,
        part=number,
        judgement=JUDGEMENT_OF[record.verdict],
        at=record.captured_at,
        by=record.id,
        model_version=record.model_version,
        defect_score=record.defect_score,
    )
