"""Baselines: the last one of a chart counts, and all of them stay."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.baselines import Baseline, add_baseline, baselines, in_force

FIRST = Baseline(
    set_at="2026-11-23T06:00:00+00:00",
    set_by="A. Weber",
    comment="after the new lamp",
    camera="",
    per="hour",
    size=0,
    since="2026-11-20T06:00:00+00:00",
    until="2026-11-22T06:00:00+00:00",
    subgroups=40,
    parts=4000,
    fails=80,
    model_version="cells/3",
    chart="p",
    centre=0.02,
    sigma_z=1.0,
)


def known(ledger: Ledger) -> list[Baseline]:
    with ledger.reading() as db:
        return baselines(db)


def test_a_baseline_is_read_back_with_its_number(ledger: Ledger) -> None:
    stored = add_baseline(ledger, FIRST)
    assert stored == replace(FIRST, seq=1)
    assert known(ledger) == [stored]


def test_the_last_baseline_of_each_chart_is_in_force_and_the_others_stay(ledger: Ledger) -> None:
    add_baseline(ledger, FIRST)
    daily = add_baseline(ledger, replace(FIRST, per="day"))
    again = add_baseline(ledger, replace(FIRST, centre=0.03))
    assert in_force(known(ledger)) == [again, daily]
    assert len(known(ledger)) == 3


@pytest.mark.parametrize("change", ["UPDATE baselines SET centre = 0.5", "DELETE FROM baselines"])
def test_nobody_changes_or_removes_a_baseline(ledger: Ledger, change: str) -> None:
    add_baseline(ledger, FIRST)
    with pytest.raises(LedgerError, match="set another"), ledger.writing() as db:
        db.execute(change)
    assert len(known(ledger)) == 1


def test_limits_of_another_chart_are_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError) as refused:
        add_baseline(ledger, replace(FIRST, chart="u"))
    assert isinstance(refused.value.__cause__, sqlite3.IntegrityError)
