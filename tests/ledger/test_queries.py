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
    period,
    reviewed_parts,
    rows_of_serial,
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


def test_the_ends_of_a_period_are_in_utc_and_sort_around_all_times_where_it_has_none() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert period(east, None)["since"] == "2026-11-22T12:00:00.000"
    ends = period(None, None)
    assert ends["since"] < "2026-11-22T12:00:00.000" < ends["until"]
