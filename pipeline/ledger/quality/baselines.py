"""Limits of control charts as people have set them, from which period, and when.

None is ever changed or removed: who sets limits again adds a baseline, and the last one counts.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass, fields, replace

from pipeline.ledger.ledger import Ledger


@dataclass(frozen=True)
class Baseline:
    """The limits of one chart.

    Attributes:
        set_at: when they were set, ISO 8601 in UTC.
        set_by: name of the responsible person.
        comment: the reason, "" for none.
        camera: whose parts; "" for all of the station.
        per: what a subgroup is: `hour`, `day` or `parts`.
        size: least number of parts in a subgroup where `per` is `parts`; else 0.
        since, until: the period that they come from, ISO 8601 in UTC, from and before.
        subgroups, parts, fails: how many that period had.
        model_version: that judged most of the parts.
        chart: `p` or `p_prime`.
        centre: mean share of fails, 0 to 1.
        sigma_z: by how much subgroups vary more than the binomial distribution allows; 1 for `p`.
        seq: its number, in the order of setting; 0 before it is stored.
    """

    set_at: str
    set_by: str
    comment: str
    camera: str
    per: str
    size: int
    since: str
    until: str
    subgroups: int
    parts: int
    fails: int
    model_version: str
    chart: str
    centre: float
    sigma_z: float
    seq: int = 0


_NAMES = [field.name for field in fields(Baseline)]
_STORED = ", ".join(_NAMES[:-1])


def add_baseline(ledger: Ledger, baseline: Baseline) -> Baseline:
    """Commit a baseline, power cut or not; returns it with its number.

    Raises:
        LedgerError: it cannot be written.
    """
    with ledger.writing(safe=True) as db:
        marks = ", ".join("?" * (len(_NAMES) - 1))
        query = f"INSERT INTO baselines ({_STORED}) VALUES ({marks})"
        number = db.execute(query, astuple(baseline)[:-1]).lastrowid
    assert number is not None
    return replace(baseline, seq=number)


def baselines(db: sqlite3.Connection) -> list[Baseline]:
    """All baselines of the station, the newest first."""
    rows = db.execute(f"SELECT {', '.join(_NAMES)} FROM baselines ORDER BY seq DESC").fetchall()
    return [Baseline(*row) for row in rows]


def in_force(known: list[Baseline]) -> list[Baseline]:
    """Of all baselines, the newest first, the last one of each chart."""
    last: dict[tuple[str, str, int], Baseline] = {}
    for baseline in known:
        last.setdefault((baseline.camera, baseline.per, baseline.size), baseline)
    return list(last.values())
