"""Queries that several readers share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import (
    closed_record,
    closed_records_of_serial,
    latest,
    period,
    reviewed_parts,
    rows_of_serial,
    verdicts_by_minute,
)
from pipeline.ledger.reviews import opened

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened_ledger:
        yield opened_ledger


def judge(ledger: Ledger, serial: str, verdict: Verdict = Verdict.FAIL) -> str:
    identity = ledger.open_record(AT, serial)
    scores = {"good": 0.1, "scratch": 0.9}
    record = Record(identity, "west-1", AT.isoformat(), serial, verdict, "", scores=scores)
    ledger.close_record(record)
    return identity


def test_a_record_is_found_by_its_id_once_it_is_closed(ledger: Ledger) -> None:
    still_open, closed = ledger.open_record(AT, "a"), judge(ledger, "a")
    with ledger.reading() as db:
        assert closed_record(db, still_open, "west-1") is None
        found = closed_record(db, closed, "west-1")
    assert found is not None
    assert (found.id, found.verdict, found.station) == (closed, Verdict.FAIL, "west-1")


def test_records_of_a_part_come_newest_first_and_not_too_many(ledger: Ledger) -> None:
    made = [judge(ledger, "a") for _ in range(3)]
    judge(ledger, "b")
    with ledger.reading() as db:
        found = closed_records_of_serial(db, "a", "west-1", 2)
    assert [r.id for r in found] == [made[2], made[1]]


def test_all_rows_of_a_part_show_an_open_one_without_a_verdict(ledger: Ledger) -> None:
    judge(ledger, "a")
    ledger.open_record(AT, "a")
    with ledger.reading() as db:
        assert [row["verdict"] for row in rows_of_serial(db, "a")] == ["FAIL", None]


def test_a_reviewed_part_bears_its_last_review(ledger: Ledger) -> None:
    judge(ledger, "not reviewed")
    identity = judge(ledger, "a")
    with opened(ledger.path, "west-1") as reviews:
        reviews.add(identity, "good", "A. Weber", "", AT)
        reviews.add(identity, "scratch", "B. Kim", "", AT)
    with ledger.reading() as db:
        found = [(row["id"], row["part_class"]) for row in reviewed_parts(db)]
    assert found == [(identity, "scratch")]


def test_the_last_records_come_oldest_first(ledger: Ledger) -> None:
    made = [judge(ledger, "a", v) for v in (Verdict.FAIL, Verdict.PASS, Verdict.FAIL)]
    ledger.open_record(AT, "still open")
    with ledger.reading() as db:
        assert [r.id for r in latest(db, "west-1", 2)] == made[1:]
        assert [r.id for r in latest(db, "west-1", 9, Verdict.FAIL)] == [made[0], made[2]]
        assert [r.id for r in latest(db, "west-1", 9, Verdict.PASS)] == [made[1]]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.REVIEW, Verdict.NOT_INSPECTED])
def test_the_few_among_the_many_are_found_by_their_index(ledger: Ledger, verdict: Verdict) -> None:
    asked = list[str]()
    with ledger.reading() as db:
        db.set_trace_callback(asked.append)
        latest(db, "west-1", 10, verdict)
        db.set_trace_callback(None)
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert plan == ["SEARCH records USING INDEX records_not_passed (verdict=?)"]


def test_verdicts_are_counted_by_minute_up_to_a_number(ledger: Ledger) -> None:
    for verdict in (Verdict.FAIL, Verdict.PASS, Verdict.PASS, Verdict.REVIEW):
        judge(ledger, "a", verdict)
    ledger.open_record(AT, "still open")
    with ledger.reading() as db:
        found = verdicts_by_minute(db, AT, 3)
        assert verdicts_by_minute(db, AT + timedelta(minutes=1), 3) == []
    minute = "2026-11-22T12:00"
    assert sorted(found) == [(minute, Verdict.FAIL, 1), (minute, Verdict.PASS, 2)]


def test_the_ends_of_a_period_are_in_utc_and_sort_around_all_times_where_it_has_none() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert period(east, None)["since"] == "2026-11-22T12:00:00.000"
    ends = period(None, None)
    assert ends["since"] < "2026-11-22T12:00:00.000" < ends["until"]
