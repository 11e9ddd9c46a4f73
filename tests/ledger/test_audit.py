"""The account of a period, taken beside a running station."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import config
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.settings.line import Line
from pipeline.errors import LedgerError
from pipeline.ledger.audit import LOST_AFTER, Audit, audit, of_part
from pipeline.ledger.ledger import Ledger

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    path = tmp_path / "line.yaml"
    path.write_text(
        f"""
station: west-1
recipe: cells
model: {{cache: {tmp_path / "models"}}}
source: {{type: replay, path: {tmp_path}}}
ledger: {tmp_path / "ledger.sqlite"}
sinks:
  - {{type: jsonl, folder: {tmp_path / "out"}}}
  - {{type: webhook, url: "http://localhost/", name: mes, verdicts: [FAIL]}}
"""
    )
    return config.load(path, Line)


@pytest.fixture
def ledger(line: Line) -> Iterator[Ledger]:
    """The ledger of a station at work."""
    with closing(
        Ledger(line.ledger, "west-1", {"jsonl": tuple(Verdict), "mes": (Verdict.FAIL,)})
    ) as db:
        yield db


def judge(
    ledger: Ledger, verdict: Verdict, minute: int = 0, reason: str = "", **fields: Any
) -> str:
    """One part, `minute` minutes after noon."""
    at = AT + minute * MINUTE
    serial = fields.pop("serial", f"part-{minute}")
    identity = ledger.open_record(at, serial, fields.get("camera", ""))
    record = Record(identity, "west-1", at.isoformat(), serial, verdict, reason, **fields)
    ledger.close_record(record)
    return identity


def account(
    line: Line,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Audit:
    """As `lineside audit` asks for it."""
    return audit(line.ledger, line.station, since, until, [s.outbox for s in line.sinks], now)


def whole(line: Line) -> Audit:
    return account(line, now=AT + MINUTE)


def tamper(line: Line, sql: str) -> None:
    with closing(sqlite3.connect(line.ledger)) as db:
        db.execute(sql)
        db.commit()


def test_every_verdict_counts_and_the_equation_holds(line: Line, ledger: Ledger) -> None:
    for minute, verdict in enumerate([*Verdict, Verdict.PASS]):
        judge(ledger, verdict, minute)
    found = whole(line)
    assert found.triggers == 5
    assert found.verdicts == dict.fromkeys(Verdict, 1) | {Verdict.PASS: 2}
    assert found.balances


def test_empty_ledger_balances(line: Line, ledger: Ledger) -> None:
    assert (whole(line).triggers, whole(line).balances) == (0, True)


def test_missing_records_are_named_wherever_they_stood(line: Line, ledger: Ledger) -> None:
    for minute in range(10):
        judge(ledger, Verdict.PASS, minute)
    tamper(line, "DELETE FROM records WHERE seq IN (1, 4, 5, 10)")
    found = whole(line)
    assert (found.triggers, found.missing, found.balances) == (10, 4, False)
    assert found.gaps == ((1, 1), (4, 5), (10, 10))


@pytest.mark.parametrize("before", [0, 2])
def test_triggers_that_were_never_recorded_are_missing(
    line: Line, ledger: Ledger, before: int
) -> None:
    for minute in range(before):
        judge(ledger, Verdict.PASS, minute)
    ledger.add_forgotten(AT, 3, "3: database or disk is full")
    told = whole(line)
    assert (told.triggers, told.missing, told.balances) == (before + 3, 3, False)
    judge(ledger, Verdict.PASS, 5)
    found = whole(line)
    assert (found.triggers, found.gaps) == (before + 4, ((before + 1, before + 3),))
    assert [e.kind for e in found.events] == ["triggers never recorded"]


def test_period_sees_what_is_missing_within_it_and_at_its_ends(line: Line, ledger: Ledger) -> None:
    for minute in range(10):
        judge(ledger, Verdict.PASS, minute)
    tamper(line, "DELETE FROM records WHERE seq = 6")

    def between(first: int, last: int) -> tuple[int, bool]:
        found = account(line, AT + first * MINUTE, AT + last * MINUTE)
        return found.triggers, found.balances

    assert between(0, 4) == (4, True)
    assert between(3, 8) == (5, False)
    assert between(6, 8) == (3, False)  # the one before it might belong to it
    assert between(7, 10) == (3, True)
    assert between(20, 30) == (0, True)


def test_period_of_which_every_record_is_missing_does_not_balance(
    line: Line, ledger: Ledger
) -> None:
    for minute in range(10):
        judge(ledger, Verdict.PASS, minute)
    tamper(line, "DELETE FROM records WHERE seq IN (5, 6)")
    found = account(line, AT + 4 * MINUTE, AT + 6 * MINUTE)
    assert (found.triggers, found.gaps) == (2, ((5, 6),))


def test_period_ends_before_its_last_moment(line: Line, ledger: Ledger) -> None:
    for minute in range(3):
        judge(ledger, Verdict.PASS, minute)
    found = account(line, AT + MINUTE, AT + 2 * MINUTE)
    assert [found.triggers, found.since] == [1, "2026-11-22T12:01:00+00:00"]


def test_clock_that_was_set_back_makes_no_gap(line: Line, ledger: Ledger) -> None:
    for minute in (0, 1, 60, 61, 2, 3):
        judge(ledger, Verdict.PASS, minute)
    found = account(line, AT, AT + 10 * MINUTE)
    assert (found.triggers, found.missing, found.balances) == (4, 0, True)


def test_record_that_a_running_station_has_open_is_not_lost(line: Line, ledger: Ledger) -> None:
    judge(ledger, Verdict.PASS)
    identity = ledger.open_record(AT, "part-7")
    found = whole(line)
    assert [r.id for r in found.at_work] == [identity]
    assert found.balances


def test_record_that_has_been_open_for_long_is_lost_though_the_station_runs(
    line: Line, ledger: Ledger
) -> None:
    ledger.open_record(AT, "part-7")
    found = account(line, now=AT + LOST_AFTER + MINUTE)
    assert ([r.serial for r in found.lost], found.balances) == (["part-7"], False)


def test_record_that_a_dead_station_left_open_is_lost(line: Line, ledger: Ledger) -> None:
    ledger.open_record(AT, "part-7")
    ledger.close()
    found = whole(line)
    assert ([r.serial for r in found.lost], found.at_work) == (["part-7"], ())
    assert not found.balances


def test_reasons_cameras_models_and_shadows_are_counted(line: Line, ledger: Ledger) -> None:
    for minute, reason in enumerate(
        ["overload: 16 wait", "overload: 17 wait", "station restarted"]
    ):
        judge(ledger, Verdict.NOT_INSPECTED, minute, reason, camera="left")
    seen = {"camera": "right", "model_version": "cells/3"}
    ids = [judge(ledger, v, 5, **seen) for v in (Verdict.PASS, Verdict.PASS, Verdict.FAIL)]
    with ledger.writing() as db:
        db.executemany(
            "INSERT INTO shadows VALUES (?, 'cells/4', 'PASS', '', '', 0.1)", [(i,) for i in ids]
        )
    ledger.note_event(AT, "camera lost", "left: no frame for 2 s")
    found = whole(line)
    assert found.reasons == {"overload": 2, "station restarted": 1}
    assert [(j.camera, j.model_version, sum(j.verdicts.values())) for j in found.judged] == [
        ("left", "", 3),
        ("right", "cells/3", 3),
    ]
    assert [(s.model_version, s.frames, s.disagreements) for s in found.shadowed] == [
        ("cells/4", 3, 1)
    ]
    assert [(w.sink, w.due, w.dead) for w in found.waiting] == [("jsonl", 6, 0), ("mes", 1, 0)]
    assert [e.kind for e in found.events] == ["camera lost"]


def test_audit_changes_nothing(line: Line, ledger: Ledger) -> None:
    judge(ledger, Verdict.PASS)
    ledger.close()
    before = line.ledger.read_bytes()
    whole(line)
    of_part(line.ledger, line.station, "part-0")
    assert line.ledger.read_bytes() == before


def test_missing_ledger_is_not_made(line: Line) -> None:
    with pytest.raises(LedgerError, match="is missing"):
        whole(line)
    assert not line.ledger.exists()
