"""Counts of a range of record numbers, over all files that hold them, in constant memory.

The numbers are read in slices, so that no query sorts more than one slice.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.contracts.records import RecordKind

SLICE = 50_000
MOST_GAPS = 100

GROUPS = """
SELECT verdict, camera, model_version,
       CASE WHEN verdict = 'NOT_INSPECTED' THEN substr(reason, 1, instr(reason || ':', ':') - 1)
       ELSE '' END AS kind, {kind} AS of_kind,
       count(*) FILTER (WHERE captured_at >= :since AND captured_at < :until) AS n,
       count(*) AS here
FROM records NOT INDEXED
WHERE seq BETWEEN :low AND :high AND seq NOT IN (SELECT value FROM json_each(:twice))
GROUP BY 1, 2, 3, 4, 5
"""
SHADOWS = """
SELECT shadows.model_version AS version, count(*) AS frames,
       count(*) FILTER (WHERE shadows.verdict != records.verdict) AS disagreements
FROM records NOT INDEXED CROSS JOIN shadows ON shadows.record = records.id
WHERE seq BETWEEN :low AND :high AND seq NOT IN (SELECT value FROM json_each(:twice))
  AND captured_at >= :since AND captured_at < :until
GROUP BY shadows.model_version
"""
NUMBERS = "SELECT seq FROM records NOT INDEXED WHERE seq BETWEEN :low AND :high"


@dataclass
class Tally:
    """What stands in a range of numbers.

    Attributes:
        groups: records of the period by verdict (None: open), camera, version of the model, kind
            of reason (of NOT_INSPECTED only) and kind of record.
        shadowed: frames that a shadow model judged too, by its version, and on how many of them
            its verdict was another.
        missing: numbers without a record.
        gaps: those, as first and last of each run of them; of many only the first `MOST_GAPS`.
    """

    groups: Counter[tuple[str | None, str, str, str, str]] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    disagreements: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)


def tally(
    files: Sequence[sqlite3.Connection], first: int, last: int, within: dict[str, str]
) -> Tally:
    """Count the records numbered from `first` to `last`.

    Args:
        files: the ledger and its archives. What is in several of them counts once, as it stands in
            the first.
        first: number.
        last: number, included.
        within: the period, as of `queries.period`.
    """
    found = Tally()
    known = [(db, *_bounds(db), _has_shadows(db), _groups_of(db)) for db in files]
    for low in range(first, last + 1, SLICE):
        numbers = {"low": low, "high": min(low + SLICE - 1, last)}
        seen: list[int] = []  # of the files before, where there is more than one
        here = 0
        at_hand = [
            (db, has_shadows, groups)
            for db, lowest, highest, has_shadows, groups in known
            if lowest <= numbers["high"] and highest >= low
        ]
        for db, has_shadows, groups in at_hand:
            values = {**numbers, **within, "twice": json.dumps(seen)}
            for row in db.execute(groups, values):
                judged = row["verdict"], row["camera"], row["model_version"]
                group = (*judged, row["kind"], row["of_kind"])
                if row["n"]:
                    found.groups[group] += row["n"]
                here += row["here"]
            for row in db.execute(SHADOWS, values) if has_shadows else ():
                found.frames[row["version"]] += row["frames"]
                found.disagreements[row["version"]] += row["disagreements"]
            if db is not at_hand[-1][0]:
                seen += [seq for (seq,) in db.execute(NUMBERS, numbers)]
        if here < numbers["high"] - low + 1:
            _add_gaps(found, files, numbers)
    return found


def _bounds(db: sqlite3.Connection) -> tuple[int, int]:
    """The lowest and the highest number of a file."""
    low, high = (
        db.execute(f"SELECT {end}(seq) FROM records").fetchone()[0] for end in ("min", "max")
    )
    return low or 0, high or 0


def _has_shadows(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM shadows LIMIT 1").fetchone() is not None


def _groups_of(db: sqlite3.Connection) -> str:
    """The query for a file; archives from before there were other records have parts only."""
    there = db.execute("SELECT 1 FROM pragma_table_info('records') WHERE name = 'kind'").fetchone()
    return GROUPS.format(kind="records.kind" if there else f"'{RecordKind.PART}'")


def _add_gaps(found: Tally, files: Sequence[sqlite3.Connection], numbers: dict[str, int]) -> None:
    """Add the numbers of a slice that stand in none of the files."""
    there = {seq for db in files for (seq,) in db.execute(NUMBERS, numbers)}
    end = numbers["high"] + 1
    before = numbers["low"] - 1
    for seq in (*sorted(there), end):
        if (n := seq - before - 1) > 0:
            found.missing += n
            if found.gaps and found.gaps[-1][1] == before:  # goes on from the slice before
                found.gaps[-1] = found.gaps[-1][0], seq - 1
            elif len(found.gaps) < MOST_GAPS:
                found.gaps.append((before + 1, seq - 1))
        before = seq
