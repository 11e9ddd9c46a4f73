"""The protocol of a challenge run: what was expected and what was seen of each part."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import Any

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.challenge.runs import ChallengeRun, records_of


def protocol(db: sqlite3.Connection, station: str, run: ChallengeRun) -> dict[str, Any]:
    """A run ready for JSON.

    Of a part that was presented more than once, `record`, `seen`, `score`, `image` and `met` are of
    the first verdict, as it counts; of one that was never inspected they are of the first record.

    Args:
        db: of the ledger.
        station: its name.
        run: the run.
    """
    counts: dict[int, Record] = {}
    for part, record in records_of(db, run.id, station):
        if part is None:
            continue
        known = counts.setdefault(part, record)
        if known.verdict is Verdict.NOT_INSPECTED:
            counts[part] = record
    parts = []
    for i, expected in enumerate(run.parts):
        found = counts.get(i)
        seen: dict[str, Any] = {"record": None, "seen": "", "score": None, "image": "", "met": None}
        if found is not None:
            seen = {
                "record": found.id,
                "seen": f"{found.verdict} {found.part_class}".strip(),
                "score": found.defect_score,
                "image": found.image,
                "met": expected.met_by(found) and found.model_version == run.model_version,
            }
        parts.append({"serial": expected.serial, "expected": expected.expected, **seen})
    return {**asdict(run), "station": station, "parts": parts}
